"""From a trimap to the thing's pixels: GrabCut, then only what hangs together with its sure part."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_engines.engine import Frame
from edgecam_training.recompose.trimap import Trimap

Bits = NDArray[np.bool_]

ITERATIONS: Final = 5
_SMOOTH: Final = 1 / 80  # of the shorter side: threads thinner than this are cut off, cracks closed
_PIECE: Final = 0.1  # of the largest piece: smaller ones are dirt
_HOLE: Final = 0.02  # of the thing: smaller holes are closed


def grab(photo: Frame, known: Trimap) -> Bits:
    """(h, w) True where the thing is. The trimap must hold sure pixels of both kinds.

    GrabCut starts from clusters that OpenCV draws with the generator of this thread, so that is set first:
    a photo gives one mask, whatever was cut before it.
    """
    mask = known.copy()
    cv2.setRNGSeed(0)
    cv2.grabCut(
        photo, mask, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), ITERATIONS, cv2.GC_INIT_WITH_MASK
    )
    found = (mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)
    return tidy(found, known == cv2.GC_FGD)


def tidy(found: Bits, sure: Bits) -> Bits:
    """Smooth outlines, no dirt, no pinholes; only pieces that the sure part reaches into."""
    side = 2 * max(1, round(min(found.shape) * _SMOOTH)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    # Beyond the frame is neither: else a thing that the frame cuts off would be rounded at its edge.
    padded = cv2.copyMakeBorder(found.astype(np.uint8), side, side, side, side, cv2.BORDER_REPLICATE)
    for step in (cv2.MORPH_OPEN, cv2.MORPH_CLOSE):
        padded = cv2.morphologyEx(padded, step, disc)
    smooth = padded[side:-side, side:-side]
    return _closed(_pieces(smooth > 0, sure))


def _pieces(found: Bits, sure: Bits) -> Bits:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    reached = np.bincount(labels[sure & found], minlength=count) > 0
    reached[0] = False  # what is not the thing
    kept = reached & (areas >= _PIECE * areas[reached].max(initial=0))
    return np.asarray(kept[labels])


def _closed(found: Bits) -> Bits:
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~found).astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < _HOLE * np.count_nonzero(found)
    return np.asarray(found | (small[labels] & ~found))
