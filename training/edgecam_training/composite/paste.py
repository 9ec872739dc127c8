"""Layers on top of each other, and what is then seen of one of them: the exact mask and its box."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgecam_training.composite.place import Layer
from edgecam_training.composite.terms import Frame, Levels

Bits = NDArray[np.bool_]
Box = tuple[int, int, int, int]


def over(layer: Layer, under: Levels) -> Levels:
    """The layer on top of (s, s, 3): where alpha is 1, only the layer; where it is 0, only what was there."""
    return np.asarray(layer.colour + (1 - layer.alpha[:, :, None]) * under, np.float32)


def paste(background: Levels, behind: Sequence[Layer], thing: Layer, front: Sequence[Layer]) -> Levels:
    """(s, s, 3) 0..255: everything, from the back to the front."""
    picture = background
    for layer in (*behind, thing, *front):
        picture = over(layer, picture)
    return picture


def visible(thing: Layer, front: Sequence[Layer]) -> Bits:
    """(s, s) True where at least half of a pixel is the thing's, after feathering and what hides it."""
    share = thing.alpha
    for layer in front:
        share = share * (1 - layer.alpha)
    return np.asarray(share >= np.float32(0.5))


def box_of(mask: Bits) -> Box | None:
    """x0, y0, x1, y1 in pixels, both corners inside, around every True pixel; None when there is none.

    The convention of the WSOL protocol: a box of one pixel is (x, y, x, y).
    """
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (int(xs[0]), int(ys[0]), int(xs[-1]), int(ys[-1])) if len(xs) else None


def box_share(box: Box | None, size: int) -> float:
    """The box's area as a share of the frame; 0 for none."""
    return (box[2] - box[0] + 1) * (box[3] - box[1] + 1) / size**2 if box else 0.0


def finished(levels: Levels, grain: Levels) -> Frame:
    """(s, s, 3) uint8."""
    return np.asarray(np.rint(np.clip(levels + grain, 0, 255)), np.uint8)
