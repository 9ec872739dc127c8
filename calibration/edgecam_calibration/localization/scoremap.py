"""From a class activation map to a score map: float64, within [0, 1], and sorted into bins exactly."""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

ScoreMap = NDArray[np.float64]  # (h, w); a map that says nothing is 0 everywhere, any other reaches 0 and 1

_CELLS: Final = 1 << 16
_DOUBT: Final = 1 << 15  # marks a cell that an edge lies in


def scoremap(cam: NDArray[Any], hw: tuple[int, int] | None = None) -> ScoreMap:
    """A map (gh, gw), resampled to (h, w) if asked for, less its minimum, over its maximum.

    A map that is constant or holds a NaN or an infinity becomes all zero. Everything is computed in
    float64, since the published figures are: in float32 some pixels fall on the other side of a cut.
    Source: inference.py of clovaai/wsolevaluation (bicubic, then min-max). One difference: there, a
    map that is constant before it is resampled is judged by the rounding of the resampling.
    """
    cam = np.ascontiguousarray(cam, np.uint8 if cam.dtype.kind == "b" else None)
    shape = (cam.shape[0], cam.shape[1]) if hw is None else hw
    if cam.shape != shape:
        if _range(cam) is None:
            return np.zeros(shape)
        cam = np.asarray(cv2.resize(cam.astype(np.float64), shape[::-1], interpolation=cv2.INTER_CUBIC))
    if (found := _range(cam)) is None:
        return np.zeros(shape)
    low, extent = found
    score: ScoreMap = np.subtract(cam, low, dtype=np.float64)
    score /= extent
    return score


def _range(values: NDArray[Any]) -> tuple[float, float] | None:
    """The minimum and what the maximum is above it; None for a constant map, or one without finite range."""
    low, high = float(values.min()), float(values.max())  # both pass a NaN on
    extent = high - low
    return (low, extent) if 0 < extent < np.inf else None


def cells(score: ScoreMap) -> NDArray[np.intp]:
    """Which of 65,536 equal parts of [0, 1] each value lies in, for `Binning`; 1 is in a part of its own."""
    # A power of two: the product is exact, so no value is taken for one of the part beside it.
    return (score * _CELLS).astype(np.intp)


class Binning:
    """Which of ascending edges in [0, 1] is the last one at or below a value, as `searchsorted` finds it.

    For a picture's worth of values it is looked up by their cells. The few values that share their cell
    with an edge are compared with it.
    """

    def __init__(self, edges: NDArray[np.float64]) -> None:
        if edges[0] != 0 or edges[-1] > 1 or (np.diff(edges) <= 0).any() or len(edges) > _DOUBT:
            raise ValueError("Edges of bins must ascend from 0, stay at or below 1, and be 32,768 at most.")
        self._edges = edges
        borders = np.arange(_CELLS + 1) / _CELLS
        below = (np.searchsorted(edges, borders, side="right") - 1).astype(np.uint16)
        inside = np.setdiff1d(edges, borders)  # an edge that is a border is below its whole cell
        below[(inside * _CELLS).astype(np.intp)] |= _DOUBT
        self._below = below

    def __call__(self, score: ScoreMap, cell: NDArray[np.intp]) -> NDArray[np.uint16]:
        """Index of an edge for each value of a map, given its `cells` too."""
        found = self._below.take(cell, mode="clip")  # nothing is clipped; the mode that checks is slower
        doubtful = np.flatnonzero(found >= _DOUBT)
        values = score.ravel()[doubtful]
        found.ravel()[doubtful] = np.searchsorted(self._edges, values, side="right") - 1
        return found
