"""Pixel average precision: how well a score map's values tell an object's pixels from the rest.

The values of all images go into one pair of histograms, so an image counts by its pixels; pixels marked
255 are left out. AP is the sum of precision times the gain in recall, without interpolation.
Source: Choe et al., arXiv:2001.07437; MaskEvaluator in evaluation.py of clovaai/wsolevaluation (MIT).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.intervals import Estimate
from edgecam_calibration.localization.bootstrap import middle, redraws

_COARSE: Final = 100  # bins kept of each image, which is enough to see how AP varies
_ABOVE: Final = 2  # bins above the thresholds: [1, 2), [2, 3]

PixelCodes = NDArray[np.uint8]  # (h, w): 0 background, 1 object, 2 left out


@dataclass(frozen=True)
class PrecisionRecall:
    """At each threshold, of the pixels at or above it."""

    thresholds: NDArray[np.float64]  # (t,) ascending
    precision: NDArray[np.float64]  # (t,) 0 where there are none
    recall: NDArray[np.float64]  # (t,)


class PixelCounts:
    """Histograms of score maps' values, of object and of background pixels."""

    def __init__(self, thresholds: NDArray[np.float64]) -> None:
        self._thresholds = thresholds
        self._bins = len(thresholds) + _ABOVE
        step = -(-len(thresholds) // _COARSE)
        self._groups = np.append(np.arange(0, len(thresholds), step), len(thresholds))
        self._pooled = np.zeros((2, self._bins), np.int64)  # background, object
        self._images: list[NDArray[np.int32]] = []  # (2, groups) each

    def __len__(self) -> int:
        return len(self._images)

    def add(self, binned: NDArray[np.uint16], codes: PixelCodes) -> None:
        """One image: its score map as `Sweep.binning` sorts it, (h, w), and what its pixels are."""
        placed = codes.astype(np.uint16)
        placed *= np.uint16(self._bins)
        placed += binned
        counts = np.bincount(placed.ravel(), minlength=3 * self._bins).reshape(3, -1)[:2]
        self._pooled += counts
        self._images.append(np.add.reduceat(counts, self._groups, axis=1).astype(np.int32))

    def extend(self, other: "PixelCounts") -> None:
        """The images of another one after those of this one."""
        self._pooled += other._pooled
        self._images += other._images

    def average_precision(self, *, rng: np.random.Generator) -> Estimate | None:
        """AP with its bootstrap interval; None when no pixel of any image is an object's."""
        if not self._pooled[1].sum():
            return None
        return middle(self._value(), np.clip(self._redrawn(rng), 0, 1), len(self))

    def difference(self, other: "PixelCounts", *, rng: np.random.Generator) -> Estimate | None:
        """AP less that of another one on the same images, with the interval of a paired bootstrap.

        None when no pixel is an object's. Raises ValueError for counts of different images.
        """
        if len(self) != len(other):
            raise ValueError(f"A pair is judged on the same images, not on {len(self)} and {len(other)}.")
        if not self._pooled[1].sum():
            return None
        seed = int(rng.integers(2**63))
        mine, others = (each._redrawn(np.random.default_rng(seed)) for each in (self, other))
        return middle(self._value() - other._value(), mine - others, len(self))

    def _value(self) -> float:
        return float(_average_precision(*self._pooled))

    def _redrawn(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """AP on sets drawn again, (resamples,).

        It comes from coarser histograms, 100 bins instead of 1,000: their AP differs by what their width
        hides, which is taken off again.
        """
        table = np.stack(self._images).astype(np.float32)
        coarse = float(_average_precision(*table.sum(axis=0, dtype=np.float64)))
        n = len(table)
        redrawn = []
        for drawn in redraws(n, rng=rng):
            sums = (drawn @ table.reshape(n, -1)).reshape(len(drawn), *table.shape[1:]).astype(np.float64)
            redrawn.append(_average_precision(sums[:, 0], sums[:, 1]))
        return np.concatenate(redrawn) - coarse + self._value()

    def curve(self) -> PrecisionRecall | None:
        """Precision and recall at each threshold; None when no pixel is an object's."""
        if not self._pooled[1].sum():
            return None
        precision, recall = (side[::-1][: len(self._thresholds)] for side in _precision_recall(*self._pooled))
        return PrecisionRecall(self._thresholds, precision, recall)


def _precision_recall(
    background: NDArray[np.generic], positive: NDArray[np.generic]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Histograms (..., bins) -> precision and recall (..., bins) from the highest bin on; 0/0 is 0."""
    hit = np.cumsum(np.asarray(positive, np.float64)[..., ::-1], axis=-1)
    called = hit + np.cumsum(np.asarray(background, np.float64)[..., ::-1], axis=-1)
    return hit / np.maximum(called, 1), hit / np.maximum(hit[..., -1:], 1)


def _average_precision(background: NDArray[np.generic], positive: NDArray[np.generic]) -> NDArray[np.float64]:
    """(..., bins) -> (...)."""
    precision, recall = _precision_recall(background, positive)
    return np.asarray((precision * np.diff(recall, axis=-1, prepend=0)).sum(axis=-1))
