"""What else is in a picture: neutral things beside the object and in front of it."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_training.composite.backgrounds import Background, crop
from edgecam_training.composite.cutouts import Cutout, cutout_of
from edgecam_training.composite.terms import Levels

_SIDE: Final = 96  # pixels of a shape before it is laid
_CORNERS: Final = 64


def shape(background: Background, rng: np.random.Generator) -> Cutout:
    """A rounded, irregular patch of another background: it hides, and belongs to no class."""
    around = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    radius = np.ones(_CORNERS)
    for waves in (2, 3, 4):
        radius += rng.uniform(0, 0.3) / waves * 2 * np.cos(waves * around + rng.uniform(0, 2 * np.pi))
    radius *= 0.48 / radius.max()
    outline = _SIDE * (0.5 + np.stack([radius * np.cos(around), radius * np.sin(around)], axis=1))
    patch = crop(background, _SIDE, rng).astype(np.float32)
    alpha = _filled(outline)
    return cutout_of(f"shape/{background.name}", np.dstack([patch * (alpha / 255)[:, :, None], alpha]), _SIDE)


def _filled(outline: NDArray[np.float64]) -> Levels:
    """(k, 2) x, y -> (side, side) 0..255 with smooth edges."""
    alpha = np.zeros((_SIDE, _SIDE), np.uint8)
    fixed = np.rint((outline - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(alpha, [fixed.reshape(-1, 1, 2)], 255, lineType=cv2.LINE_AA, shift=4)
    return alpha.astype(np.float32)
