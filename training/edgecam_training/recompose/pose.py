"""Where a thing goes in its new photo: scale, shift and mirror that do not show where a frame cut it off."""

from typing import Final, NamedTuple

import cv2
import numpy as np

from edgecam_engines.engine import Frame
from edgecam_training.composite.cutouts import Cutout
from edgecam_training.composite.place import Pose
from edgecam_training.recompose.grab import Bits

SMALLEST, LARGEST = 0.7, 1.2  # scale against the photo that the thing is from
_BEYOND: Final = 2  # pixels that a cut edge is put outside the frame, so that no softening of it is seen


class Thing(NamedTuple):
    """What was cut out of one photo."""

    name: str  # the photo, for lists
    cutout: Cutout  # BGRA, alpha 0 or 255
    cut_off: tuple[bool, bool, bool, bool]  # by the frame: at its left, right, top, bottom
    hw: tuple[int, int]  # of the photo


def thing_of(name: str, photo: Frame, mask: Bits) -> Thing:
    """The masked pixels of a photo (h, w, 3), cropped to their box. The mask must not be empty."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    h, w = mask.shape
    box = slice(top, top + height), slice(left, left + width)
    own = mask[box]
    bgra = np.dstack([np.where(own[:, :, None], photo[box], 0), np.where(own, 255, 0)]).astype(np.uint8)
    ys, xs = np.nonzero(own)
    hull = cv2.convexHull(np.stack([xs + 0.5, ys + 0.5], axis=1).astype(np.float32)).reshape(-1, 2)
    cut_off = (left == 0, left + width == w, top == 0, top + height == h)
    return Thing(name, Cutout(name, bgra, np.asarray(hull, np.float32)), cut_off, (h, w))


def draw_pose(thing: Thing, rng: np.random.Generator) -> Pose:
    """SMALLEST to LARGEST and anywhere, wholly inside where it fits, upright, half of the time mirrored.

    A thing that its own photo cut off is cut off at the same side of the new one (the other side when
    mirrored): straight cuts in the middle of a picture give it away. One that was cut off at both sides is
    never made smaller than the frame.
    """
    hw = thing.hw
    mirrored = bool(rng.random() < 0.5)
    at_left, at_right, at_top, at_bottom = thing.cut_off
    if mirrored:
        at_left, at_right = at_right, at_left
    width, height = (float(np.ptp(side)) for side in thing.cutout.hull.T)
    sides = ((width, hw[1], at_left and at_right), (height, hw[0], at_top and at_bottom))
    least = max([SMALLEST, *((frame + 2 * _BEYOND) / side for side, frame, across in sides if across)])
    scale = float(rng.uniform(least, max(least, LARGEST)))
    left = _place(width * scale, hw[1], at_left, at_right, rng)
    top = _place(height * scale, hw[0], at_top, at_bottom, rng)
    return Pose(0.0, mirrored, scale, left, top)


def _place(side: float, frame: int, at_low: bool, at_high: bool, rng: np.random.Generator) -> float:
    """Where the low end of something `side` long goes along a frame, in pixels."""
    low, high = -float(_BEYOND), frame - side + _BEYOND
    if at_low and at_high:
        return float(rng.uniform(high, low))
    if at_low or at_high:
        return low if at_low else high
    first, last = sorted((0.5, frame - side - 0.5))
    return float(rng.uniform(first, last))
