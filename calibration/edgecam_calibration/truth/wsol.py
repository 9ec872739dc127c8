"""The metadata folders of the WSOL benchmark, four text files each.

    image_ids.txt      path/to/image.jpg
    class_labels.txt   path/to/image.jpg,12                       an index, from 0
    image_sizes.txt    path/to/image.jpg,500,375                  w, h
    localization.txt   path/to/image.jpg,156,163,318,230          x0, y0, x1, y1; several rows an image
                  or   path/to/image.jpg,a/mask.png,a/ignore.png  several rows an image, ignore on one of them

Source: Choe et al., arXiv:2001.07437; data_loaders.py and evaluation.py of clovaai/wsolevaluation (MIT).
Where that code stops at a bad row, this one reports it; what it accepts is used as it uses it.
"""

from collections import defaultdict
from pathlib import Path

from edgecam_calibration.truth.checks import (
    Corners,
    Findings,
    Options,
    Size,
    corners,
    mask_size,
    rows,
    sound,
    stacked,
)
from edgecam_calibration.truth.masks import Regions
from edgecam_calibration.truth.shapes import GreyFile, Shape
from edgecam_calibration.truth.types import BadAnnotation, Boxes, ImageTruth, Label, Truth
from edgecam_engines.errors import DataError


def read_wsol(path: Path, options: Options) -> Truth:
    """A metadata folder, such as metadata/CUB/val. Masks are looked for in `options.masks`, else in it.

    Raises DataError when image_ids.txt or localization.txt cannot be read, or image_sizes.txt is
    missing beside boxes: the protocol measures boxes in shares of the image.
    """
    problems: list[BadAnnotation] = []
    ids = _image_ids(path / "image_ids.txt", problems)
    labels = _labels(path / "class_labels.txt", ids, options, problems)
    sizes = _sizes(path / "image_sizes.txt", problems)
    localization = Findings(path / "localization.txt", problems)
    found = list(rows(localization.path, (3, 5), localization))
    if not found:
        raise DataError(
            f"{localization.path} has no usable line.\n"
            f"Each should be image_id,x0,y0,x1,y1 or image_id,mask,ignore_mask, as in the published metadata."
        )
    known = _known(found, ids, localization)
    if len(found[0][1]) == 5:
        boxes = _boxes(known, sizes, localization)
        images = {
            i: ImageTruth(i, sizes.get(i), labels.get(i), boxes[i], (None,) * len(boxes[i])) for i in ids
        }
    else:
        masks = _masks(known, options.masks or path, sizes, localization)
        images = {i: ImageTruth(i, sizes.get(i), labels.get(i), masks=masks.get(i)) for i in ids}
    return Truth("wsol", images, options.classes, tuple(problems))


def _image_ids(path: Path, problems: list[BadAnnotation]) -> list[str]:
    findings, ids = Findings(path, problems), dict[str, int]()
    for number, (image_id,) in rows(path, (1,), findings):
        if image_id in ids:
            findings.add(f"line {number}", f"{image_id} stands on line {ids[image_id]} already")
        ids.setdefault(image_id, number)
    if not ids:
        raise DataError(f"{path} names no image.\nIt should hold one path a line, such as cat/001.jpg.")
    return list(ids)


def _labels(path: Path, ids: list[str], options: Options, problems: list[BadAnnotation]) -> dict[str, Label]:
    findings, labels = Findings(path, problems), dict[str, Label]()
    if not path.is_file():
        findings.add("", "there is no such file, so no image has a label", kept=True)
        return labels
    for number, (image_id, text) in rows(path, (2,), findings):
        where = f"line {number}"
        if image_id in labels:
            findings.add(where, f"{image_id} has a label already")
            continue
        labels[image_id] = None
        if not text.isdecimal():
            findings.add(where, f"a label is an index from 0, not {text!r}")
        elif options.classes and int(text) >= len(options.classes):
            findings.add(where, f"unknown class {text}: there are {len(options.classes)}, counted from 0")
        else:
            labels[image_id] = int(text)
    for image_id in ids:
        if image_id not in labels:
            findings.add("", f"{image_id} has no label", kept=True)
    return labels


def _sizes(path: Path, problems: list[BadAnnotation]) -> dict[str, Size]:
    findings, sizes = Findings(path, problems), dict[str, Size]()
    if not path.is_file():
        return sizes  # the published OpenImages metadata has none
    for number, (image_id, w, h) in rows(path, (3,), findings):
        where = f"line {number}"
        if image_id in sizes:
            findings.add(where, f"{image_id} has a size already")
        elif not (w.isdecimal() and h.isdecimal() and int(w) and int(h)):
            findings.add(where, f"a size is two whole numbers from 1, not {w},{h}")
        else:
            sizes[image_id] = (int(w), int(h))
    return sizes


Found = list[tuple[int, list[str]]]  # line number and fields


def _known(found: Found, ids: list[str], findings: Findings) -> Found:
    """The lines of images that image_ids.txt names, and of the kind that the first line is."""
    kind, among = len(found[0][1]), set(ids)
    kept = []
    for number, fields in found:
        if len(fields) != kind:
            findings.add(
                f"line {number}", f"{kind} fields expected as on the lines before, not {len(fields)}"
            )
        elif fields[0] not in among:
            findings.add(f"line {number}", f"{fields[0]} is not in image_ids.txt")
        else:
            kept.append((number, fields))
    placed = {fields[0] for _, fields in kept}
    for image_id in ids:
        if image_id not in placed:
            findings.add("", f"{image_id} has no line", kept=True)
    return kept


def _boxes(known: Found, sizes: dict[str, Size], findings: Findings) -> dict[str, Boxes]:
    if not sizes:
        raise DataError(
            f"{findings.path.parent} has boxes, but no sizes of images to scale them by.\n"
            f"Add image_sizes.txt with one line an image: image_id,width,height."
        )
    gathered: defaultdict[str, dict[Corners, int]] = defaultdict(dict)
    for number, (image_id, *texts) in known:
        box, where = corners(texts), f"line {number}"
        if image_id not in sizes:
            findings.add(where, f"{image_id} is not in image_sizes.txt")
        elif box in gathered[image_id]:
            findings.add(where, f"the same box stands on line {gathered[image_id][box]}")
        elif sound(box, sizes[image_id], where, findings) and box is not None:
            gathered[image_id][box] = number
    return defaultdict(lambda: stacked(()), {i: stacked(list(boxes)) for i, boxes in gathered.items()})


def _masks(known: Found, root: Path, sizes: dict[str, Size], findings: Findings) -> dict[str, Regions]:
    objects: defaultdict[str, dict[Path, Shape]] = defaultdict(dict)
    ignored: dict[str, tuple[Path, Shape | None]] = {}
    for number, (image_id, mask, ignore) in known:
        where, path = f"line {number}", root / mask
        if path in objects[image_id]:
            findings.add(where, f"mask {mask} is listed twice")
        elif mask_size(path, sizes.get(image_id), where, findings):
            objects[image_id][path] = GreyFile(path)
        if ignore and image_id not in ignored:
            usable = mask_size(root / ignore, sizes.get(image_id), where, findings)
            ignored[image_id] = (root / ignore, GreyFile(root / ignore) if usable else None)
        elif ignore and ignored[image_id][0] != root / ignore:
            findings.add(where, f"{image_id} has an ignore mask already, not also {ignore}")
    return {
        i: Regions(
            tuple((None, shape) for shape in shapes.values()),
            tuple(shape for _, shape in [ignored.get(i, (None, None))] if shape is not None),
        )
        for i, shapes in objects.items()
        if shapes
    }
