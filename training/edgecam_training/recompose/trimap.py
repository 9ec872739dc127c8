"""From a class map to a trimap: what is surely the thing, surely not, and to be found out."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_engines.cam import normalise
from edgecam_engines.geometry import map_to

OUTSIDE, INSIDE = 0.2, 0.6  # of the map's range: at most, surely not the thing; at least, surely it
_LIKELY: Final = (OUTSIDE + INSIDE) / 2  # between the two, which side GrabCut starts from

Trimap = NDArray[np.uint8]  # (h, w) of cv2.GC_BGD, GC_PR_BGD, GC_PR_FGD, GC_FGD


def relative(cam: NDArray[np.float32], hw: tuple[int, int]) -> NDArray[np.float32]:
    """The map at (h, w), its lowest value as 0 and its highest as 1; all 0 when nothing speaks for the class.

    Min-max, as every mask of a map here: a class map has an offset of its own, and a share of the bare
    maximum would call most of many photos unsure.
    """
    full = map_to(cam.astype(np.float32), hw)
    return normalise(full) if float(full.max()) > 0 else np.zeros(hw, np.float32)


def trimap(cam: NDArray[np.float32], hw: tuple[int, int]) -> Trimap:
    """(gh, gw) -> (h, w). Thresholds are this project's, steps GrabCut's (Rother et al., 2004)."""
    level = relative(cam, hw)
    found = np.where(level >= _LIKELY, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    found[level <= OUTSIDE] = cv2.GC_BGD
    found[level >= INSIDE] = cv2.GC_FGD
    return found
