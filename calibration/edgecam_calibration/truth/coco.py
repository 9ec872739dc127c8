"""COCO's instances JSON: boxes, polygons and run-length masks of many images in one file.

    bbox          x, y, w, h in edges: the box covers x..x + w. Kept as x, y, x + w - 1, y + h - 1
    segmentation  polygons, or run lengths (plain or compressed); several parts are one object
    iscrowd 1     a crowd: no box to find, and its pixels are ignored

An object that has a box but no usable segmentation, in an image where others have one, is ignored in the
mask: its box's pixels are neither object nor background.
Source: Lin et al., arXiv:1405.0312, and the data format of cocodataset/cocoapi.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from edgecam_calibration.truth.boxes_csv import LabelledBox, boxed
from edgecam_calibration.truth.checks import Findings, Options, Size, Unknown, read_text, sound
from edgecam_calibration.truth.coco_shapes import edges_of, rectangle, shape_of
from edgecam_calibration.truth.masks import Regions
from edgecam_calibration.truth.shapes import Shape
from edgecam_calibration.truth.types import ImageTruth, Label, Truth
from edgecam_engines.errors import DataError
from edgecam_engines.photo import MAX_PIXELS

Key = int | str  # COCO's ids are numbers; some tools write text


class Picture(NamedTuple):
    """One entry of "images"."""

    name: str
    size: Size | None


@dataclass
class Gathered:
    """What the annotations say of one image."""

    boxes: dict[LabelledBox, None] = field(default_factory=dict)
    objects: list[tuple[Label, Shape]] = field(default_factory=list)
    undrawn: list[Shape] = field(default_factory=list)  # boxes of objects that have no outline
    crowds: list[Shape] = field(default_factory=list)

    def truth(self, picture: Picture) -> ImageTruth:
        image = boxed(picture.name, list(self.boxes), picture.size)
        if not self.objects and not self.crowds:
            return image
        masks = Regions(tuple(self.objects), (*self.crowds, *self.undrawn))
        return ImageTruth(image.image_id, image.size, image.label, image.boxes, image.box_labels, masks)


def read_coco(path: Path, options: Options) -> Truth:
    """An instances file. Images without annotations are kept: they say that nothing is there.

    Raises DataError when the file is not JSON, or has no images and annotations.
    """
    document, findings = _document(path), Findings(path)
    pictures, classes = _pictures(document, findings), _classes(document, findings)
    gathered: defaultdict[Key, Gathered] = defaultdict(Gathered)
    unknown = Unknown(options.classes)
    for where, note in _entries(document, "annotations", "annotation", findings):
        picture, label = pictures.get(_key(note, "image_id")), classes.get(_key(note, "category_id"))
        if picture is None:
            findings.add(where, f"image_id {note.get('image_id')!r} is not among the images")
        elif label is None:
            findings.add(where, f"unknown class: category_id {note.get('category_id')!r} is no category")
        elif not unknown.refuses(label):
            _take(note, label, picture, gathered[_key(note, "image_id")], where, findings)
    unknown.report(findings)
    images = {picture.name: gathered[key].truth(picture) for key, picture in pictures.items()}
    return Truth("coco", images, options.classes or tuple(classes.values()), tuple(findings.found))


def _take(
    note: dict[str, Any], label: str, picture: Picture, into: Gathered, where: str, findings: Findings
) -> None:
    """Put one annotation where it belongs."""
    edges = edges_of(note.get("bbox"))
    shape = shape_of(note.get("segmentation"), picture.size, where, findings)
    if note.get("iscrowd"):
        if (crowd := shape or rectangle(edges, picture.size)) is not None:
            into.crowds.append(crowd)
        return
    box = None if edges is None else (edges[0], edges[1], edges[2] - 1, edges[3] - 1)
    if box is not None and (box, label) in into.boxes:
        findings.add(where, "the same box is given twice")
    elif sound(box, picture.size, where, findings) and box is not None:
        into.boxes[box, label] = None
    if shape is not None:
        into.objects.append((label, shape))
    elif (around := rectangle(edges, picture.size)) is not None:
        into.undrawn.append(around)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not JSON: {error}.\nGive COCO's instances file, or another format."
        ) from error
    if not isinstance(document, dict) or not all(
        isinstance(document.get(key), list) for key in ("images", "annotations", "categories")
    ):
        raise DataError(
            f"{path} is JSON, but not COCO's: it lacks a list of images, annotations or categories.\n"
            f"Give an instances file, such as annotations/instances_val2017.json."
        )
    return document


def _entries(
    document: dict[str, Any], key: str, noun: str, findings: Findings
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each entry stands ("annotation 41", its id if it has one) and the entry."""
    for place, entry in enumerate(document[key]):
        if isinstance(entry, dict):
            yield f"{noun} {entry.get('id', f'[{place}]')}", entry
        else:
            findings.add(f"{noun} [{place}]", "it is not an object of keys and values")


def _pictures(document: dict[str, Any], findings: Findings) -> dict[Key, Picture]:
    pictures: dict[Key, Picture] = {}
    names: set[str] = set()
    for where, entry in _entries(document, "images", "image", findings):
        name, size, key = entry.get("file_name"), (entry.get("width"), entry.get("height")), _key(entry, "id")
        if not isinstance(name, str) or not name or key == "":
            findings.add(where, "it has no id or no file_name")
        elif key in pictures or name in names:
            findings.add(where, f"its id or its file_name {name} is taken already")
        else:
            names.add(name)
            pictures[key] = Picture(name, _sound_size(size, where, findings))
    return pictures


def _sound_size(said: tuple[Any, Any], where: str, findings: Findings) -> Size | None:
    w, h = said
    if isinstance(w, int) and isinstance(h, int) and w > 0 and h > 0 and w * h <= MAX_PIXELS:
        return w, h
    findings.add(where, f"width {w!r} and height {h!r} are no image's, so its masks are left out", kept=True)
    return None


def _classes(document: dict[str, Any], findings: Findings) -> dict[Key, str]:
    classes: dict[Key, str] = {}
    for where, entry in _entries(document, "categories", "category", findings):
        name, key = entry.get("name"), _key(entry, "id")
        if not isinstance(name, str) or not name or key == "" or key in classes:
            findings.add(where, "it has no name, or an id that is missing or taken already")
        else:
            classes[key] = name
    return classes


def _key(entry: dict[str, Any], name: str) -> Key:
    """The id that an entry gives under `name`; empty when it is none, which matches nothing."""
    key = entry.get(name)
    return key if isinstance(key, int | str) else ""
