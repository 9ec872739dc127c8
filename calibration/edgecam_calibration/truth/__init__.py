"""Boxes and masks in the formats that exist. `read_truth` reads any of them, `match` finds a photo's."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from edgecam_calibration.truth.boxes_csv import read_csv
from edgecam_calibration.truth.checks import VOC_CLASSES, Options
from edgecam_calibration.truth.coco import read_coco
from edgecam_calibration.truth.ilsvrc import read_ilsvrc
from edgecam_calibration.truth.mask_folder import read_mask_folder
from edgecam_calibration.truth.match import Matched, match, with_masks
from edgecam_calibration.truth.pictures import BadMask
from edgecam_calibration.truth.protocol import protocol_boxes, protocol_mask, resize_boxes
from edgecam_calibration.truth.types import IGNORE, BadAnnotation, ImageTruth, Truth
from edgecam_calibration.truth.voc import read_voc
from edgecam_calibration.truth.wsol import read_wsol
from edgecam_engines.errors import DataError

__all__ = [
    "FORMATS",
    "IGNORE",
    "BadAnnotation",
    "BadMask",
    "ImageTruth",
    "Matched",
    "Truth",
    "match",
    "protocol_boxes",
    "protocol_mask",
    "read_truth",
    "recognise",
    "resize_boxes",
    "with_masks",
]

FORMATS: Final[dict[str, Callable[[Path, Options], Truth]]] = {
    "wsol": read_wsol,
    "ilsvrc": read_ilsvrc,
    "voc": read_voc,
    "coco": read_coco,
    "csv": read_csv,
    "masks": read_mask_folder,
}


def read_truth(
    path: Path,
    format: str | None = None,
    *,
    masks: Path | None = None,
    classes: Sequence[str] = (),
    ignore_255: bool = False,
    index_classes: Sequence[str] = VOC_CLASSES,
) -> Truth:
    """Annotations of any format, by its name in FORMATS or else recognised by what lies at `path`.

    `masks` is a folder: the one that the annotations' mask files are in (wsol), else one of masks to add
    to the boxes. `classes` are those asked for: objects of others are left out and reported.
    Everything that is wrong is in `problems`. Raises DataError when the whole cannot be read.
    """
    for given in (path, masks):
        if given is not None and not given.exists():
            raise DataError(f"{given} does not exist.\nCheck the path and give it again.")
    name = format or recognise(path)
    if name not in FORMATS:
        raise DataError(f"There is no format {name!r}.\nChoose one of: {', '.join(FORMATS)}.")
    options = Options(masks, tuple(classes), ignore_255, tuple(index_classes))
    truth = FORMATS[name](path, options)
    if masks is None or not any(len(image.boxes) for image in truth.images.values()):
        return truth  # without boxes, `masks` was the folder that the listed masks are in
    return with_masks(
        truth, read_truth(masks, classes=classes, ignore_255=ignore_255, index_classes=index_classes)
    )


def recognise(path: Path) -> str:
    """The format's name, from a file's suffix and header or from a folder's contents. Raises DataError."""
    found = _of_folder(path) if path.is_dir() else _of_file(path)
    if found is None:
        raise DataError(
            f"{path} is in no format that is known.\nIt may be a folder of WSOL metadata (with "
            f"localization.txt), of Pascal VOC XML or of PNG masks; COCO's JSON; ImageNet's "
            f"solution CSV; or a CSV with the header image_id,x0,y0,x1,y1."
        )
    return found


def _of_folder(path: Path) -> str | None:
    if any((path / name).is_file() for name in ("localization.txt", "image_ids.txt")):
        return "wsol"
    voc = ("Annotations", "SegmentationClass", "SegmentationObject")
    if path.name in voc[1:] or any((path / name).is_dir() for name in voc):
        return "voc"
    if next(path.rglob("*.xml"), None) is not None:
        return "voc"  # ImageNet's XML too: it says so itself
    return "masks" if next(path.rglob("*.png"), None) is not None else None


def _of_file(path: Path) -> str | None:
    if path.suffix.lower() == ".csv":
        with path.open("rb") as file:
            return "ilsvrc" if b"PredictionString" in file.readline(4096) else "csv"
    return {".json": "coco", ".xml": "voc"}.get(path.suffix.lower())
