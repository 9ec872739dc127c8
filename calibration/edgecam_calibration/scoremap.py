"""From a class activation map to a score map: float64, within [0, 1], and sorted into bins exactly."""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

ScoreMap = NDArray[np.float64]  # (h, w); a map that says nothing is 0 everywhere, any other reaches 0 and 1

_FINEST: Final = 2.0**-16  # edges nearer to each other than this are not looked up in a table


def scoremap(cam: NDArray[Any], hw: tuple[int, int] | None = None) -> ScoreMap:
    """A map (gh, gw), resampled to (h, w) if asked for, less its minimum, over its maximum.

    A map that is constant or holds a NaN or an infinity becomes all zero. Everything is computed in
    float64, since the published figures are: in float32 some pixels fall on the other side of a cut.
    Source: inference.py of clovaai/wsolevaluation (bicubic, then min-max). One difference: there, a
    map that is constant before it is resampled is judged by the rounding of the resampling.
    """
    exact = np.ascontiguousarray(cam, dtype=np.float64)
    shape = exact.shape if hw is None else hw
    if _flat(exact):
        return np.zeros(shape)
    if exact.shape != shape:
        exact = np.asarray(cv2.resize(exact, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float64)
        if _flat(exact):
            return np.zeros(shape)
    from_zero: ScoreMap = exact - exact.min()
    from_zero /= from_zero.max()
    return from_zero


def _flat(values: NDArray[np.float64]) -> bool:
    """Whether a map says nothing: constant, or without a finite range."""
    low, high = float(values.min()), float(values.max())  # both pass a NaN on
    return not 0 < high - low < np.inf


class Binning:
    """Which of ascending edges in [0, 1] is the last one at or below a value, as `searchsorted` finds it.

    Several times faster for a picture's worth of values: [0, 1] is divided into 2**k cells so small that
    none holds two edges, and the cell of a value says which edge is left to compare it with.
    """

    def __init__(self, edges: NDArray[np.float64]) -> None:
        if edges[0] != 0 or edges[-1] > 1 or (np.diff(edges) <= 0).any():
            raise ValueError("Edges of bins must ascend from 0 and stay at or below 1.")
        self._edges = edges
        spacing = float(np.diff(edges).min(initial=1.0))
        self._cells = 0 if spacing < _FINEST else int(2 ** np.ceil(1 - np.log2(spacing)))
        if self._cells:
            borders = np.arange(self._cells + 1) / self._cells
            within = np.setdiff1d(edges, borders)  # an edge that is a border is below its whole cell
            self._below = np.searchsorted(edges, borders, side="right") - 1
            self._inside = np.full(self._cells + 1, np.inf)
            self._inside[(within * self._cells).astype(np.int64)] = within

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Index of an edge for each value in [0, 1], of the same shape."""
        if not self._cells:
            return np.searchsorted(self._edges, values, side="right") - 1
        # A power of two: the product is exact, so no value is taken for one of the cell beside it.
        scaled = values * self._cells
        cell = scaled.astype(np.intp)
        found = self._below.take(cell, mode="clip")  # nothing is clipped; the mode that checks is slower
        found += values >= self._inside.take(cell, out=scaled, mode="clip")
        return found
