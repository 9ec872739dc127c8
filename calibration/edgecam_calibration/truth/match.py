"""Which photo is which image of the annotations: by path, else by name, and never by guess."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from edgecam_calibration.truth.checks import Corners, Findings, Size, sound
from edgecam_calibration.truth.masks import NumberedPicture
from edgecam_calibration.truth.pictures import BadMask, picture_size
from edgecam_calibration.truth.types import BadAnnotation, ImageTruth, Truth
from edgecam_engines.photo import SUFFIXES


class Matched(NamedTuple):
    """Photos and what is known of them."""

    found: dict[Path, ImageTruth]  # their size is the photo's where the annotations say none
    problems: list[BadAnnotation]  # ambiguous names, photos of another size, boxes outside the photo
    photos_without: list[Path]  # no annotation; the ambiguous ones are among them
    truth_without: list[str]  # image ids that no photo was found for


def _bare(name: str) -> PurePosixPath:
    """A path without the suffix of a photo; "a.b" keeps its ".b"."""
    path = PurePosixPath(name)
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path


# From the surest to the least sure. A name that two photos or two images share decides nothing.
_WAYS: Final[tuple[Callable[[str], str], ...]] = (
    lambda name: name,
    lambda name: str(_bare(name)),
    lambda name: "/".join(_bare(name).parts[-2:]),  # CLASS/file
    lambda name: PurePosixPath(name).name,
    lambda name: _bare(name).name,
)


def match(truth: Truth, photos: Iterable[Path], root: Path) -> Matched:
    """The ImageTruth of each photo below `root`.

    A photo and an image belong together if they have the same path below `root`, with or without the
    suffix; else the same CLASS/file; else the same name; else the same name without its suffix. Each
    way counts only where just one photo and just one image have it.
    """
    names = {_name(photo, root): photo for photo in photos}
    ids = {unicodedata.normalize("NFC", image_id): image_id for image_id in truth.images}
    pairs, ambiguous = pair(list(names), list(ids))
    problems: list[BadAnnotation] = []
    for name, candidates in ambiguous.items():
        reason = (
            f"its name is not enough to tell its annotation ({', '.join(candidates[:3])}); give paths there"
        )
        Findings(names[name], problems).add("", reason)
    found = {
        names[name]: _measured(truth.images[ids[key]], names[name], problems) for name, key in pairs.items()
    }
    taken = {ids[key] for key in pairs.values()}
    return Matched(
        found,
        problems,
        [photo for photo in names.values() if photo not in found],
        [image_id for image_id in truth.images if image_id not in taken],
    )


def with_masks(truth: Truth, masks: Truth) -> Truth:
    """The truth with the masks that another one has for the same images, matched as photos are.

    The images stay those of the first: they are what is measured. Masks of others are left out, which is
    reported once.
    """
    pairs, ambiguous = pair(list(truth.images), list(masks.images))
    images = dict(truth.images)
    problems = [*truth.problems, *masks.problems]
    for image_id, key in pairs.items():
        mask, image = masks.images[key], images[image_id]
        if image.size is not None and mask.size not in (None, image.size):
            reason = _sizes("the mask", mask.size, image.size)
            problems.append(BadAnnotation(_file(mask), "", reason, kept=True))
        images[image_id] = replace(image, size=image.size or mask.size, masks=mask.masks)
    for image_id, candidates in ambiguous.items():
        reason = f"its name is not enough to tell its mask ({', '.join(candidates[:3])}); give paths there"
        problems.append(BadAnnotation(Path(image_id), "", reason))
    used = set(pairs.values())
    if spare := [mask for key, mask in masks.images.items() if key not in used]:
        more = f"; so with {len(spare) - 1} more masks" if len(spare) > 1 else ""
        problems.append(
            BadAnnotation(_file(spare[0]), "", f"the annotations have no image of its name{more}")
        )
    return Truth(truth.format, images, truth.classes or masks.classes, tuple(problems))


def pair(names: Sequence[str], ids: Sequence[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Names and ids that belong together, and the names that could be any of several ids."""
    pairs: dict[str, str] = {}
    taken: set[str] = set()
    for way in _WAYS:
        by_name, by_id = _grouped(names, way), _grouped(ids, way)
        for key in by_name.keys() & by_id.keys():
            (name, *other_names), (image_id, *other_ids) = by_name[key], by_id[key]
            if not other_names and not other_ids and name not in pairs and image_id not in taken:
                pairs[name] = image_id
                taken.add(image_id)
    left = _grouped([image_id for image_id in ids if image_id not in taken], _WAYS[-1])
    ambiguous = {name: left[key] for name in names if name not in pairs and (key := _WAYS[-1](name)) in left}
    return {name: pairs[name] for name in names if name in pairs}, ambiguous


def _file(image: ImageTruth) -> Path:
    return image.masks.path if isinstance(image.masks, NumberedPicture) else Path(image.image_id)


def _grouped(names: Iterable[str], way: Callable[[str], str]) -> Mapping[str, list[str]]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[way(name)].append(name)
    return groups


def _name(photo: Path, root: Path) -> str:
    path = photo.relative_to(root) if photo.is_relative_to(root) else photo
    return unicodedata.normalize("NFC", path.as_posix())


def _measured(image: ImageTruth, photo: Path, problems: list[BadAnnotation]) -> ImageTruth:
    """The image with the photo's size where it says none; what does not fit the photo is reported."""
    findings = Findings(photo, problems)
    try:
        size = picture_size(photo)
    except BadMask as bad:
        findings.add("", f"the photo cannot be read: {bad.reason}")
        return image
    if image.size is not None:
        if size != image.size:
            findings.add("", _sizes("the photo", size, image.size), kept=True)
        return image
    kept = [k for k, box in enumerate(image.boxes.tolist()) if _fits(box, size, k, findings)]
    labels = tuple(image.box_labels[k] for k in kept)
    return replace(image, size=size, boxes=image.boxes[kept], box_labels=labels)


def _fits(box: Corners, size: Size, k: int, findings: Findings) -> bool:
    return sound(box, size, f"box {k + 1}", findings)


def _sizes(what: str, size: Size | None, said: Size) -> str:
    w, h = size or (0, 0)
    return f"{what} has {w} x {h} pixels, its annotation is for {said[0]} x {said[1]}"
