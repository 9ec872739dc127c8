"""A thing on another ground: posed, lit and feathered, with the mask and box of what is then seen."""

from typing import Final, NamedTuple

import cv2
import numpy as np

from edgecam_engines.engine import Frame
from edgecam_training.composite.light import whole
from edgecam_training.composite.paste import Box, box_of, finished, over, visible
from edgecam_training.composite.place import Layer, Pose, lay_in
from edgecam_training.recompose.grab import Bits
from edgecam_training.recompose.pose import Thing, draw_pose

FEATHER: Final = (3.0, 5.0)  # pixels from no alpha to full alpha
MOST_PAINTED: Final = 0.3  # of a picture, where a ground's hole is still seen
_POSES: Final = 8  # drawn; the one that hides most of the hole is taken
_NEAREST: Final = 0.8  # of the largest crop of a ground that has the picture's shape
_MATCH: Final = 0.4  # how far the thing's brightness goes to its ground's, in the logarithm
_DIMMEST, _BRIGHTEST = 0.75, 1.3


class Ground(NamedTuple):
    """What a thing is put on."""

    name: str  # the photo, for lists
    frame: Frame  # (h, w, 3)
    hole: Bits  # (h, w) True where it was painted over


class Composite(NamedTuple):
    """A new photo and its truth."""

    frame: Frame  # (h, w, 3)
    layer: Layer  # the thing alone
    mask: Bits  # (h, w) True where at least half of the light is the thing's
    box: Box | None  # around the mask
    painted: float  # share of the picture in which the ground's painted hole is seen
    pose: Pose


def compose(thing: Thing, ground: Ground, rng: np.random.Generator) -> Composite:
    """A picture as large as the photo that the thing is from, so that it keeps its size in the frame."""
    under, hole = _cropped(ground, thing.hw, rng)
    width = float(rng.uniform(*FEATHER))
    pose, layer = _hiding(thing, hole, rng)
    layer = matched(feathered(layer, width), under)
    mask = visible(layer, ())
    frame = merged(layer, under)
    return Composite(frame, layer, mask, box_of(mask), float((hole & ~mask).mean()), pose)


def merged(layer: Layer, under: Frame) -> Frame:
    """The layer on a frame: its own pixels where alpha is 1, the frame's where it is 0, to the bit."""
    return finished(over(layer, whole(under).colour), np.zeros_like(layer.colour))


def feathered(layer: Layer, width: float) -> Layer:
    """An edge that fades inwards over `width` pixels.

    Inwards, since the pixels just outside, and half of those just inside, still have the old ground in them.
    """
    side = 2 * max(1, round(width / 2)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    inner = cv2.erode(layer.alpha, disc)  # the frame's edge erodes nothing
    soft = np.asarray(cv2.GaussianBlur(inner, (0, 0), width / 4), np.float32)
    soft[soft > 0.999] = 1  # a sum of weights is 1 but for rounding
    alpha = np.minimum(soft, layer.alpha)
    share = np.divide(alpha, layer.alpha, out=np.zeros_like(alpha), where=layer.alpha > 0)
    return Layer(layer.colour * share[:, :, None], alpha)


def matched(layer: Layer, under: Frame) -> Layer:
    """The thing made brighter or darker, some way towards the mean brightness of its ground."""
    weight = float(layer.alpha.sum())
    if weight == 0:
        return layer
    own = float(layer.colour.sum()) / (3 * weight)
    gain = np.clip(((float(under.mean()) + 1) / (own + 1)) ** _MATCH, _DIMMEST, _BRIGHTEST)
    most = 255 * layer.alpha[:, :, None]
    return Layer(np.minimum(layer.colour * np.float32(gain), most), layer.alpha)


def _hiding(thing: Thing, hole: Bits, rng: np.random.Generator) -> tuple[Pose, Layer]:
    """The best of a few poses: painted ground is no photo, so the less of it is seen, the better."""
    poses = [draw_pose(thing, rng) for _ in range(_POSES if hole.any() else 1)]
    drawn = [(pose, lay_in(thing.cutout, pose, thing.hw)) for pose in poses]
    seen = [np.count_nonzero(hole & (layer.alpha < 0.5)) for _, layer in drawn]
    return drawn[int(np.argmin(seen))]


def _cropped(ground: Ground, hw: tuple[int, int], rng: np.random.Generator) -> tuple[Frame, Bits]:
    """A part of the ground in the shape of (h, w), perhaps mirrored, and the hole in it."""
    high, wide = ground.frame.shape[:2]
    unit = min(high / hw[0], wide / hw[1]) * rng.uniform(_NEAREST, 1)
    height, width = (max(1, min(side, round(want * unit))) for side, want in ((high, hw[0]), (wide, hw[1])))
    top, left = (int(rng.integers(0, n, endpoint=True)) for n in (high - height, wide - width))
    box = slice(top, top + height), slice(left, left + width)
    how = cv2.INTER_AREA if unit > 1 else cv2.INTER_LINEAR
    frame = np.asarray(cv2.resize(ground.frame[box], hw[::-1], interpolation=how), np.uint8)
    hole = cv2.resize(ground.hole[box].astype(np.uint8), hw[::-1], interpolation=cv2.INTER_NEAREST) > 0
    mirrored = rng.random() < 0.5
    return (frame[:, ::-1], hole[:, ::-1]) if mirrored else (frame, hole)
