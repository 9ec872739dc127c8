"""One picture of the data set: a background, the object, and what stands behind and in front of it."""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

import numpy as np

from edgecam_engines.errors import DataError
from edgecam_training.composite.backgrounds import Background, crop
from edgecam_training.composite.cutouts import Cutout
from edgecam_training.composite.distract import shape
from edgecam_training.composite.light import feathered, grain, lit, softened, whole
from edgecam_training.composite.paste import Bits, Box, box_of, box_share, finished, paste, visible
from edgecam_training.composite.place import Layer, lay, object_pose, small_pose
from edgecam_training.composite.terms import Frame

Thing = TypeVar("Thing")

LEAST_SEEN, MOST_SEEN = 0.10, 0.60  # area of the visible box as a share of the frame
MOST_HIDDEN: Final = 0.40  # of the object's pixels
_LEAST_HIDDEN: Final = 0.02  # less is no occlusion
_BEHIND, _IN_FRONT = 0.5, 0.5  # how often
_SMALL, _LARGE = 0.15, 0.40  # longer side of a distractor as a share of the frame's
_TRIES: Final = 40
_FRONT_TRIES: Final = 8


class Cast(NamedTuple):
    """What one part of the data set may be made of, besides its objects."""

    backgrounds: Sequence[Background]
    neutral: Sequence[Cutout]  # none of the classes; may be empty


class Picture(NamedTuple):
    """A picture and its truth."""

    frame: Frame  # (s, s, 3) BGR
    mask: Bits  # (s, s) the visible part of the object
    box: Box  # around the mask
    cutout: str
    background: str


def draw(cutout: Cutout, cast: Cast, size: int, rng: np.random.Generator) -> Picture:
    """Make one picture. Mask and box are taken last: after turning, feathering and occlusion.

    Raises DataError for a cut-out of which too little can be shown.
    """
    background = _any(cast.backgrounds, rng)
    under = lit(whole(crop(background, size, rng)), rng).colour
    thing = _object(cutout, size, rng)
    behind = [_beside(cast, background, size, rng)] if rng.random() < _BEHIND else []
    front = _hiding(thing, cast, background, size, rng) if rng.random() < _IN_FRONT else []
    mask = visible(thing, front)
    box = box_of(mask)
    assert box is not None  # _object and _hiding leave enough of it
    frame = finished(paste(under, behind, thing, front), grain(size, rng))
    return Picture(frame, mask, box, cutout.name, background.name)


def _object(cutout: Cutout, size: int, rng: np.random.Generator) -> Layer:
    for _ in range(_TRIES):
        layer = _drawn(lay(cutout, object_pose(cutout, size, rng), size), rng)
        if LEAST_SEEN <= box_share(box_of(visible(layer, ())), size) <= MOST_SEEN:
            return layer
    raise DataError(
        f"The cut-out {cutout.name} is too thin or too see-through to be the object of a picture of {size} x "
        f"{size} pixels.\nTake it out of its folder."
    )


def _drawn(layer: Layer, rng: np.random.Generator) -> Layer:
    return feathered(softened(lit(layer, rng), rng), rng)


def _distractor(cast: Cast, background: Background, rng: np.random.Generator) -> Cutout:
    """A thing of no class, or a patch of another background. Never an object of any class: it would be a
    second right answer, and its place a second right place."""
    if cast.neutral and rng.random() < 0.5:
        return _any(cast.neutral, rng)
    others = [other for other in cast.backgrounds if other is not background] or [background]
    return shape(_any(others, rng), rng)


def _any(things: Sequence[Thing], rng: np.random.Generator) -> Thing:
    return things[int(rng.integers(len(things)))]


def _beside(cast: Cast, background: Background, size: int, rng: np.random.Generator) -> Layer:
    """Anywhere, behind the object."""
    middle = (float(rng.uniform(0, size)), float(rng.uniform(0, size)))
    cutout = _distractor(cast, background, rng)
    pose = small_pose(cutout, size, middle, rng.uniform(_SMALL, _LARGE), rng)
    return _drawn(lay(cutout, pose, size), rng)


def _hiding(
    thing: Layer, cast: Cast, background: Background, size: int, rng: np.random.Generator
) -> list[Layer]:
    """Something in front of the object that leaves most of it to be seen, or nothing."""
    whole_mask = visible(thing, ())
    ys, xs = np.nonzero(whole_mask)
    for _ in range(_FRONT_TRIES):
        cutout = _distractor(cast, background, rng)
        k = rng.integers(len(xs))
        pose = small_pose(cutout, size, (float(xs[k]), float(ys[k])), rng.uniform(_SMALL, _LARGE), rng)
        layer = _drawn(lay(cutout, pose, size), rng)
        seen = visible(thing, [layer])
        hidden = 1 - seen.sum() / len(xs)
        if _LEAST_HIDDEN <= hidden <= MOST_HIDDEN and box_share(box_of(seen), size) >= LEAST_SEEN:
            return [layer]
    return []
