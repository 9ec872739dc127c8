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


def largest_box(region: NDArray[np.bool_]) -> Box | None:
    """The box around the largest connected piece of a mask (h, w); None for an empty mask."""
    contours, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    left, top, width, height = cv2.boundingRect(max(contours, key=cv2.contourArea))
    return Box(left, top, left + width, top + height)
