"""What every reader needs: files that cannot be read, and the list of what is wrong inside those that can."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Final

import numpy as np

from edgecam_calibration.truth.pictures import BadMask, picture_size
from edgecam_calibration.truth.types import BadAnnotation, Boxes, Label, no_boxes
from edgecam_engines.errors import DataError

VOC_CLASSES: Final = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

Corners = tuple[float, float, float, float]
Size = tuple[int, int]  # (w, h)


@dataclass(frozen=True)
class Options:
    """What a file of annotations does not say itself."""

    masks: Path | None = None  # the folder that the masks named by the annotations are in
    classes: tuple[str, ...] = ()  # those asked for; objects of others are left out and reported. (): all
    ignore_255: bool = False  # in a folder of masks 255 is a pixel to ignore, not an object
    index_classes: tuple[str, ...] = VOC_CLASSES  # the classes that numbers 1, 2, ... of VOC masks stand for


@dataclass
class Findings:
    """What is wrong in one file, in the order found."""

    path: Path
    found: list[BadAnnotation] = field(default_factory=list)

    def add(self, where: str, reason: str, *, kept: bool = False) -> None:
        self.found.append(BadAnnotation(self.path, where, reason, kept))


@dataclass
class Unknown:
    """The objects of classes that were not asked for, counted for one file: one report a class."""

    asked: Collection[str]
    counts: Counter[str] = field(default_factory=Counter)

    def refuses(self, label: str) -> bool:
        """Whether the object is to be left out."""
        refused = bool(self.asked) and label not in self.asked
        self.counts[label] += refused
        return refused

    def report(self, findings: Findings) -> None:
        for label, n in self.counts.items():
            if n:
                findings.add(
                    "", f"unknown class {label!r} ({n} object{'s' * (n > 1)}): none of those asked for"
                )


def read_text(path: Path) -> str:
    """A file of text in UTF-8, with or without a byte order mark. Raises DataError when it is not one."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not text in UTF-8 (byte {error.start}).\nSave it as UTF-8, or give another file."
        ) from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}.\nCheck the path and give it again."
        ) from error


def rows(path: Path, fields: Sequence[int], findings: Findings) -> Iterator[tuple[int, list[str]]]:
    """Line number and comma-separated fields of every line that has the right number of them."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        found = [part.strip() for part in line.split(",")]
        if len(found) in fields and found[0]:
            yield number, found
        elif line.strip():
            wanted = " or ".join(map(str, fields))
            findings.add(f"line {number}", f"{wanted} fields expected, not {line.strip()[:60]!r}")


def corners(texts: Sequence[str]) -> Corners | None:
    """Four numbers, or None when they are not."""
    try:
        x0, y0, x1, y1 = map(float, texts)
    except ValueError:
        return None
    return x0, y0, x1, y1


def sound(box: Corners | None, size: Size | None, where: str, findings: Findings) -> bool:
    """Whether a box can be used, reporting what is wrong with it.

    Left out: not numbers, upside down, wholly outside. Used as it stands, since the published protocol
    does so: partly outside, or a single pixel wide. Half a pixel outside is rounding, not an error.
    """
    if box is None or not all(map(isfinite, box)):
        findings.add(where, "the box is not four numbers")
        return False
    x0, y0, x1, y1 = box
    said = f"box {x0:g},{y0:g},{x1:g},{y1:g}"
    if x1 < x0 or y1 < y0:
        findings.add(where, f"{said} ends before it begins")
        return False
    if x1 == x0 or y1 == y0:
        findings.add(where, f"{said} is a single pixel wide or high", kept=True)
    return size is None or _inside(box, size, f"{said} is", where, findings)


def _inside(box: Corners, size: Size, said: str, where: str, findings: Findings) -> bool:
    (x0, y0, x1, y1), (w, h) = box, size
    if x0 > w - 0.5 or y0 > h - 0.5 or x1 < -0.5 or y1 < -0.5:
        findings.add(where, f"{said} outside the image of {w} x {h} pixels")
        return False
    if x0 < -0.5 or y0 < -0.5 or x1 > w - 0.5 or y1 > h - 0.5:
        findings.add(
            where,
            f"{said} partly outside the image of {w} x {h} pixels, whose last is {w - 1},{h - 1}",
            kept=True,
        )
    return True


def stacked(boxes: Sequence[Corners]) -> Boxes:
    """(k, 4)."""
    return np.array(boxes, dtype=np.float64) if boxes else no_boxes()


def common(labels: Collection[Label]) -> Label:
    """The label that all share; None when they differ or there are none."""
    return next(iter(labels)) if len(set(labels)) == 1 else None


def mask_size(path: Path, expected: Size | None, where: str, findings: Findings) -> Size | None:
    """(w, h) of a mask from its header; None, and a report, when it cannot be read.

    One of another size than expected is reported and used: it is resized like any other.
    """
    try:
        size = picture_size(path)
    except BadMask as bad:
        findings.add(where, f"mask {path} cannot be used: {bad.reason}")
        return None
    if expected is not None and size != expected:
        findings.add(
            where,
            f"mask {path.name} has {size[0]} x {size[1]} pixels, its image {expected[0]} x {expected[1]}",
            kept=True,
        )
    return size
