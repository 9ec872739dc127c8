"""From a class activation map to a mask and a box. Used alike by the overlay and the metrics."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_engines.geometry import Box, map_to

MASK_LEVEL: Final = 0.5  # of the min-max normalised map


def normalise(cam: NDArray[np.float32]) -> NDArray[np.float32]:
    """Min-max to [0, 1]; a constant map or one with a NaN becomes all zero.

    Source: the CAM post-processing of Choe et al., arXiv:2007.04178.
    """
    low, high = float(cam.min()), float(cam.max())
    if not np.isfinite(low) or not np.isfinite(high) or high <= low:
        return np.zeros_like(cam, dtype=np.float32)
    return ((cam - low) / (high - low)).astype(np.float32)


def mask(cam: NDArray[np.float32], hw: tuple[int, int], level: float = MASK_LEVEL) -> NDArray[np.bool_]:
    """Where the map, resampled to (h, w) pixels and normalised, is strictly above `level`."""
    return normalise(map_to(cam.astype(np.float32), hw)) > level


def mask_iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Pixels in both over pixels in either, of two masks (h, w).

    Two empty masks agree that there is nothing to mark: 1. One empty mask against one that marks
    something: 0, so an engine whose maps went flat cannot pass for a good one.
    """
    either = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / either if either else 1.0


def largest_box(region: NDArray[np.bool_]) -> Box | None:
    """The box around the largest connected piece of a mask (h, w); None for an empty mask."""
    # By number of pixels: the area of a contour through pixel centres is 0 for a line.
    count, _, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=8)
    if count == 1:  # the background alone
        return None
    left, top, width, height = stats[1 + stats[1:, cv2.CC_STAT_AREA].argmax(), :4].tolist()
    return Box(left, top, left + width, top + height)
