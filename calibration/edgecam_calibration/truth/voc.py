"""Pascal VOC: a folder of XML with boxes, a folder of PNG masks, or the tree that holds both.

    VOC2012/Annotations/2007_000027.xml         boxes
    VOC2012/SegmentationClass/2007_000033.png   class numbers, 255 void
    VOC2012/SegmentationObject/2007_000033.png  object numbers, 255 void; read where the other is missing

Corners in the XML are pixels counted from 1, both inside the box; each is brought to 0-based by taking 1
off. Files whose <database> says ILSVRC count from 0 (see ilsvrc.py). An image is named by its file's path
without the suffix, not by <filename>, which copies tend to have wrong.
Source: Everingham et al., the VOC2012 development kit, sections 4 and 10.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from edgecam_calibration.truth.boxes_csv import LabelledBox, boxed
from edgecam_calibration.truth.checks import Corners, Findings, Options, Size, Unknown, corners, sound
from edgecam_calibration.truth.masks import NumberedPicture
from edgecam_calibration.truth.pictures import BadMask, read_indices
from edgecam_calibration.truth.types import BadAnnotation, ImageTruth, Truth
from edgecam_engines.errors import DataError

BOXES: Final = "Annotations"
CLASS_MASKS: Final = "SegmentationClass"
OBJECT_MASKS: Final = "SegmentationObject"
EDGES: Final = ("xmin", "ymin", "xmax", "ymax")


def read_voc(path: Path, options: Options) -> Truth:
    """One XML file, a folder of them (nested or not), a folder of masks, or a whole tree.

    Raises DataError when there is neither an XML file nor a mask.
    """
    if path.name in (CLASS_MASKS, OBJECT_MASKS):
        return _with_masks(Truth("voc", {}), path, options)
    masks = next((path / name for name in (CLASS_MASKS, OBJECT_MASKS) if (path / name).is_dir()), None)
    boxes = path / BOXES if (path / BOXES).is_dir() else path
    if masks is None:
        return read_xml_folder("voc", boxes, options, first=1)
    truth = read_xml_folder("voc", boxes, options, first=1) if boxes != path else Truth("voc", {})
    return _with_masks(truth, masks, options)


def read_xml_folder(name: str, path: Path, options: Options, *, first: int) -> Truth:
    """Every *.xml below `path`; the first pixel counts as `first`, or as 0 in ImageNet's own files."""
    files = [path] if path.is_file() else sorted(path.rglob("*.xml"))
    root = path.parent if path.is_file() else path
    if not files:
        raise DataError(f"{path} holds no XML file.\nGive the folder that does, such as VOC2012/Annotations.")
    problems: list[BadAnnotation] = []
    images = {}
    for file in files:
        image_id = file.relative_to(root).with_suffix("").as_posix()
        if (tree := _parsed(file, problems)) is not None:
            images[image_id] = _image(image_id, tree, options, first, Findings(file, problems))
    named = {label for image in images.values() for label in image.box_labels if isinstance(label, str)}
    return Truth(name, images, options.classes or tuple(sorted(named)), tuple(problems))


class _Plain(ElementTree.TreeBuilder):
    """Builds the tree of a document without a DOCTYPE: only there can entities be defined, and entities
    that expand to entities are how a small file fills the memory."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise ValueError("it has a DOCTYPE, which annotations do not need and which can hide a bomb")


def _parsed(file: Path, problems: list[BadAnnotation]) -> Element | None:
    findings = Findings(file, problems)
    try:
        tree = ElementTree.fromstring(file.read_bytes(), ElementTree.XMLParser(target=_Plain()))
    except ElementTree.ParseError as error:
        findings.add("", f"it is not well-formed XML: {error}")
    except OSError as error:
        findings.add("", f"it cannot be read: {error.strerror or error}")
    except (ValueError, LookupError) as error:  # LookupError: an encoding that there is not
        findings.add("", str(error))
    else:
        return tree
    return None


def _image(image_id: str, tree: Element, options: Options, first: int, findings: Findings) -> ImageTruth:
    size, unknown = _size(tree, findings), Unknown(options.classes)
    if (tree.findtext("source/database") or "").strip().upper().startswith("ILSVRC"):
        first = 0
    found: dict[LabelledBox, None] = {}
    for number, thing in enumerate(tree.iterfind("object"), start=1):
        where = f"object {number}"
        label, box = (thing.findtext("name") or "").strip(), _box(thing, first)
        if not label:
            findings.add(where, "it has no name, so it counts as any class", kept=True)
        elif unknown.refuses(label):
            continue
        if box is not None and (box, label or None) in found:
            findings.add(where, "the same box is given twice")
        elif sound(box, size, where, findings) and box is not None:
            found[box, label or None] = None
    unknown.report(findings)
    return boxed(image_id, list(found), size)


def _box(thing: Element, first: int) -> Corners | None:
    box = corners([thing.findtext(f"bndbox/{edge}") or "" for edge in EDGES])
    if box is None:
        return None
    x0, y0, x1, y1 = box
    return x0 - first, y0 - first, x1 - first, y1 - first


def _size(tree: Element, findings: Findings) -> Size | None:
    texts = [(tree.findtext(f"size/{side}") or "").strip() for side in ("width", "height")]
    if all(text.isdecimal() and int(text) for text in texts):
        return int(texts[0]), int(texts[1])
    findings.add("", "it does not say the image's width and height", kept=True)
    return None


def _with_masks(truth: Truth, folder: Path, options: Options) -> Truth:
    """The truth with the masks of one of the two folders, image by image."""
    files = sorted(folder.rglob("*.png"))
    if not files and not truth.images:
        raise DataError(
            f"{folder} holds no PNG.\nGive the folder of VOC masks, such as VOC2012/{CLASS_MASKS}."
        )
    names = options.index_classes if folder.name == CLASS_MASKS else ()
    problems, images = list(truth.problems), dict(truth.images)
    for file in files:
        image_id = file.relative_to(folder).with_suffix("").as_posix()
        image = images.get(image_id, ImageTruth(image_id))
        if (size := _checked(file, image.size, names, Findings(file, problems))) is not None:
            images[image_id] = _masked(image, size, NumberedPicture(file, names))
    return Truth("voc", images, truth.classes or names, tuple(problems))


def _masked(image: ImageTruth, size: Size, masks: NumberedPicture) -> ImageTruth:
    return ImageTruth(image.image_id, image.size or size, image.label, image.boxes, image.box_labels, masks)


def _checked(file: Path, size: Size | None, names: Iterable[str], findings: Findings) -> Size | None:
    """(w, h) of a mask that can be used. It is decoded here: only its pixels show an unknown class."""
    try:
        numbers = read_indices(file)
    except BadMask as bad:
        findings.add("", bad.reason)
        return None
    h, w = numbers.shape
    if size not in (None, (w, h)):
        findings.add("", f"it has {w} x {h} pixels, its image {size[0]} x {size[1]}", kept=True)
    known = len(tuple(names))
    strange = [k for k in np.unique(numbers).tolist() if known < k < 255] if known else []
    if strange:
        findings.add("", f"unknown class {', '.join(map(str, strange))}: there are {known}; ignored there")
    return w, h
