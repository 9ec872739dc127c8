"""A plain table of boxes: a CSV with the header image_id,x0,y0,x1,y1 and, if wanted, label; a row a box.

Pixels are those of the image (or of the map, for maps scored on their own): 0-based, and x1, y1 are the
last column and row of the box. Columns may stand in any order, and others are passed over.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edgecam_calibration.truth.checks import (
    Corners,
    Findings,
    Options,
    Unknown,
    common,
    corners,
    read_text,
    sound,
    stacked,
)
from edgecam_calibration.truth.types import ImageTruth, Label, Truth
from edgecam_engines.errors import DataError

COLUMNS: Final = ("image_id", "x0", "y0", "x1", "y1")

LabelledBox = tuple[Corners, Label]


def read_csv(path: Path, options: Options) -> Truth:
    """Boxes by image; sizes are not known. Raises DataError: unreadable, no such header, no rows at all."""
    findings, unknown = Findings(path), Unknown(options.classes)
    gathered: defaultdict[str, dict[LabelledBox, int]] = defaultdict(dict)
    for number, row in table(path, COLUMNS, findings):
        image_id, label, where = row["image_id"], row.get("label") or None, f"line {number}"
        box = corners([row[name] for name in COLUMNS[1:]])
        if label is not None and unknown.refuses(label):
            continue
        same = gathered[image_id]
        if box is not None and (box, label) in same:
            findings.add(where, f"the same box stands on line {same[box, label]}")
        elif sound(box, None, where, findings) and box is not None:
            same[box, label] = number
    unknown.report(findings)
    if not gathered and not findings.found:
        raise DataError(f"{path} has a header, but no box.\nAdd a row for each box: cat/001.jpg,12,30,99,180")
    images = {i: boxed(i, list(rows)) for i, rows in gathered.items()}
    classes = options.classes or tuple(
        sorted({label for image in images.values() for label in image.box_labels if isinstance(label, str)})
    )
    return Truth("csv", images, classes, tuple(findings.found))


def boxed(image_id: str, rows: list[LabelledBox], size: tuple[int, int] | None = None) -> ImageTruth:
    """An image of boxes and their labels; its own label is the one that all of them share."""
    labels = tuple(label for _, label in rows)
    return ImageTruth(image_id, size, common(labels), stacked([box for box, _ in rows]), labels)


def table(path: Path, columns: tuple[str, ...], findings: Findings) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of each row. Raises DataError when the header lacks a column."""
    reader = csv.reader(read_text(path).splitlines(), skipinitialspace=True)
    header = _header(reader, path)
    if missing := [name for name in columns if name not in header]:
        raise DataError(
            f"{path} has no column {', '.join(missing)}; its first line is {','.join(header)[:80]!r}.\n"
            f"Its first line should be: {','.join(columns)}"
        )
    try:
        for cells in reader:
            if len(cells) == len(header) and cells[header.index(columns[0])].strip():
                yield reader.line_num, {k: cell.strip() for k, cell in zip(header, cells, strict=True)}
            elif cells:
                said = ",".join(cells)[:60]
                findings.add(f"line {reader.line_num}", f"{len(header)} fields expected, not {said!r}")
    except csv.Error as error:
        findings.add(f"line {reader.line_num}", f"not CSV from here on: {error}")


def _header(reader: Iterator[list[str]], path: Path) -> list[str]:
    try:
        return [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise DataError(
            f"{path} is not CSV: {error}.\nGive a table with commas between its columns."
        ) from error
