"""ImageNet's boxes: LOC_val_solution.csv and LOC_train_solution.csv, or a folder of its XML files.

    ImageId,PredictionString
    ILSVRC2012_val_00000001,n01751748 111 108 441 193

PredictionString holds class, x0, y0, x1, y1 for each box. The numbers are 0-based and inclusive, unlike
those of the Pascal VOC files whose form the XML borrows: val_00000001 has the same four numbers in the XML
and in the published WSOL metadata, where x0 starts at 0 and x1 ends at width - 1.
"""

from pathlib import Path
from typing import Final

from edgecam_calibration.truth.boxes_csv import LabelledBox, boxed, table
from edgecam_calibration.truth.checks import Findings, Options, Unknown, corners, read_text, sound
from edgecam_calibration.truth.types import ImageTruth, Truth
from edgecam_calibration.truth.voc import read_xml_folder

COLUMNS: Final = ("ImageId", "PredictionString")
MAPPING: Final = "LOC_synset_mapping.txt"  # beside the CSV: "n01440764 tench, Tinca tinca"


def read_ilsvrc(path: Path, options: Options) -> Truth:
    """A solution CSV, or a folder of ImageNet's XML. Images that have no box are kept, with none.

    Raises DataError when the file cannot be read or has another header.
    """
    if path.is_dir():
        return read_xml_folder("ilsvrc", path, options, first=0)
    findings, classes = Findings(path), options.classes or _mapped(path.with_name(MAPPING))
    unknown = Unknown(classes)
    images: dict[str, ImageTruth] = {}
    lines: dict[str, int] = {}
    for number, row in table(path, COLUMNS, findings):
        image_id = row["ImageId"]
        if image_id in images:
            findings.add(f"line {number}", f"{image_id} stands on line {lines[image_id]} already")
            continue
        lines[image_id] = number
        images[image_id] = boxed(
            image_id, _boxes(row["PredictionString"], f"line {number}", unknown, findings)
        )
    unknown.report(findings)
    return Truth("ilsvrc", images, classes, tuple(findings.found))


def _boxes(text: str, where: str, unknown: Unknown, findings: Findings) -> list[LabelledBox]:
    words = text.split()
    if len(words) % 5:
        findings.add(where, f"{len(words)} words are no whole number of class,x0,y0,x1,y1: {text[:60]!r}")
        return []
    found: dict[LabelledBox, None] = {}
    for k in range(0, len(words), 5):
        label, box = words[k], corners(words[k + 1 : k + 5])
        if unknown.refuses(label):
            continue
        if box is not None and (box, label) in found:
            findings.add(where, f"the box {' '.join(words[k : k + 5])} is given twice")
        elif sound(box, None, where, findings) and box is not None:
            found[box, label] = None
    return list(found)


def _mapped(path: Path) -> tuple[str, ...]:
    """The classes in their order, as the file beside the CSV lists them; none without it."""
    if not path.is_file():
        return ()
    return tuple(line.split()[0] for line in read_text(path).splitlines() if line.strip())
