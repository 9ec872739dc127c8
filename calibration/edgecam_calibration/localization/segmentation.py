"""Score maps as segmentation seeds: mIoU over a set, at each threshold that background is told by.

A pixel is the class whose map is the highest there if that is above the threshold, else background.
Hits, predictions and truth are added up over the SET for each class before anything is divided (the
mean of the images' own IoUs is another, smaller figure); pixels of 255 count nowhere. A class that is
neither in the truth nor predicted has no IoU and is left out of the mean. Thresholds run from 0 to 0.59
as SEAM's evaluation has them (arXiv:2004.04581). The best threshold is found with the truth, so it is
to be chosen on validation images and used on others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.intervals import Estimate
from edgecam_calibration.localization.bootstrap import middle, redraws
from edgecam_calibration.localization.scoremap import Binning, ScoreMap, cells

THRESHOLDS: Final = np.arange(60) / 100  # a pixel above is an object's
IGNORE: Final = 255

_MOST_CLASSES: Final = 254  # of a picture of class numbers, where 255 is taken

# Above t is at or above the number after t.
_ABOVE: Final = Binning(np.append(0.0, np.nextafter(THRESHOLDS[1:], 1)))


def thresholds_below(score: ScoreMap, cell: NDArray[np.intp]) -> NDArray[np.uint16]:
    """How many of THRESHOLDS each value of a map (h, w) is above, 0 to 60, given its `cells` too."""
    found = _ABOVE(score, cell)
    found += score > 0
    return found


@dataclass(frozen=True)
class MeanIou:
    """mIoU of a set of images."""

    value: Estimate  # at `threshold`
    threshold: float  # of background
    per_class: dict[int, float]  # 0 is background; at `threshold`
    absent: int  # classes neither in the truth nor predicted, left out of the mean
    sweep: NDArray[np.float64]  # (60,) mIoU at each of THRESHOLDS

    @property
    def best_threshold(self) -> float:
        """The first one with the highest mIoU on these images."""
        return float(THRESHOLDS[self.sweep.argmax()])


class _Row(NamedTuple):
    """One class of one image: pixels of it, pixels called so, and pixels that are both."""

    image: int
    number: int
    truth: int
    called: NDArray[np.int32]  # (60,) at each threshold
    hit: NDArray[np.int32]  # (60,)


class Segmentation:
    """Adds images up; the classes are numbered 1 to `classes`, and 0 is background."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._rows: list[_Row] = []
        self._images = 0

    def __len__(self) -> int:
        return self._images

    def add(self, maps: Sequence[ScoreMap], numbers: Sequence[int], truth: NDArray[Any]) -> None:
        """One image: the score maps (k, h, w) of some classes, and its class numbers (h, w).

        Where maps are equally high the first one wins. Raises ValueError for sizes that differ and
        numbers that are no class.
        """
        shape = np.shape(maps)
        if not len(maps) == len(numbers) == len(set(numbers)) or shape[1:] != truth.shape:
            raise ValueError(f"Maps {shape} of the classes {list(numbers)} do not fit a truth {truth.shape}.")
        stack = np.asarray(maps)
        first, highest = stack.argmax(axis=0), stack.max(axis=0)
        there = np.flatnonzero(np.bincount(truth.ravel(), minlength=IGNORE + 1))
        local = [0, *numbers, *(int(k) for k in there if k not in {0, IGNORE, *numbers})]
        if self._classes > _MOST_CLASSES or not all(1 <= k <= self._classes for k in local[1:]):
            raise ValueError(f"Class numbers run from 1 to {min(self._classes, _MOST_CLASSES)}: {local[1:]}.")
        place = np.zeros(max(*there.tolist(), IGNORE) + 1, np.int64)
        place[local] = np.arange(len(local))
        place[IGNORE] = len(local)
        k, bins = len(local), len(THRESHOLDS) + 1
        placed = (place[truth] * k + first + 1) * bins + thresholds_below(highest, cells(highest))
        counts = np.bincount(placed.ravel(), minlength=(k + 1) * k * bins).reshape(k + 1, k, bins)
        self._add(counts[:k], local)

    def add_one(self, binned: NDArray[np.uint16], number: int, codes: NDArray[np.uint8]) -> None:
        """One image with one map, as `thresholds_below` gives it, and its pixels (h, w): 0 background,
        1 object, 2 left out."""
        if not 1 <= number <= self._classes:
            raise ValueError(f"Class numbers run from 1 to {self._classes}: {number}.")
        bins = len(THRESHOLDS) + 1
        counts = np.zeros((2, 2, bins), np.int64)
        placed = codes.astype(np.uint16)
        placed *= np.uint16(bins)
        placed += binned
        counts[:, 1] = np.bincount(placed.ravel(), minlength=3 * bins).reshape(3, bins)[:2]
        self._add(counts, [0, number])

    def extend(self, other: "Segmentation") -> None:
        """The images of another one after those of this one."""
        self._rows += [row._replace(image=row.image + self._images) for row in other._rows]
        self._images += other._images

    def _add(self, counts: NDArray[np.int64], local: list[int]) -> None:
        """Pixels by truth, class of the highest map and its bin, (k, k, 61); both are places in `local`."""
        # Bin b holds what is above the first b thresholds: at threshold t that is every bin after t.
        above = counts[:, :, ::-1].cumsum(axis=2)[:, :, ::-1][:, :, 1:]  # (truth, first, 60)
        pixels = counts.sum(axis=(1, 2))
        below = pixels[:, None] - above.sum(axis=1)  # (truth, 60)
        for at, number in enumerate(local):
            called, hit = (above[:, at].sum(axis=0), above[at, at]) if at else (below.sum(axis=0), below[0])
            self._rows.append(
                _Row(self._images, number, int(pixels[at]), called.astype(np.int32), hit.astype(np.int32))
            )
        self._images += 1

    def sweep(self) -> NDArray[np.float64]:
        """mIoU at each of THRESHOLDS, (60,). Raises ValueError when no image was added."""
        return _mean(self._ious(slice(None)))

    def choose(self) -> float:
        """The first threshold with the highest mIoU."""
        return float(THRESHOLDS[self.sweep().argmax()])

    def result(self, threshold: float | None = None, *, rng: np.random.Generator) -> MeanIou:
        """mIoU at the nearest of THRESHOLDS to one chosen elsewhere, else at the best one here.

        The interval is a bootstrap over images at that threshold.
        """
        sweep = self.sweep()
        at = int(sweep.argmax() if threshold is None else np.abs(THRESHOLDS - threshold).argmin())
        ious = self._ious(slice(at, at + 1))[:, 0]
        return MeanIou(
            value=middle(float(sweep[at]), self._redrawn(at, rng), self._images),
            threshold=float(THRESHOLDS[at]),
            per_class={k: float(iou) for k, iou in enumerate(ious) if not np.isnan(iou)},
            absent=int(np.isnan(ious).sum()),
            sweep=sweep,
        )

    def _ious(self, columns: slice) -> NDArray[np.float64]:
        """IoU of each class on the whole set, (classes + 1, t); NaN for those that are nowhere."""
        if not self._images:
            raise ValueError("No image with a mask was added: there is nothing to score.")
        truth = np.zeros((self._classes + 1, 1), np.int64)
        called, hit = (np.zeros((self._classes + 1, len(THRESHOLDS[columns])), np.int64) for _ in range(2))
        for row in self._rows:
            truth[row.number] += row.truth
            called[row.number] += row.called[columns]
            hit[row.number] += row.hit[columns]
        return _iou(hit, truth + called - hit)

    def _redrawn(self, at: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """mIoU at one threshold on sets drawn again, (resamples,)."""
        rows: dict[int, list[tuple[int, int, int]]] = {}
        for row in self._rows:
            hit = int(row.hit[at])
            rows.setdefault(row.number, []).append((row.image, hit, row.truth + int(row.called[at]) - hit))
        means = []
        for drawn in redraws(self._images, rng=rng):
            pooled = [_pooled(drawn, np.array(found)) for found in rows.values()]
            means.append(_mean(np.stack(pooled)))
        return np.concatenate(means)


def _pooled(drawn: NDArray[np.float32], found: NDArray[np.int64]) -> NDArray[np.float64]:
    """IoU of one class on each set, from rows (image, hits, hits and errors)."""
    hit, either = (drawn[:, found[:, 0]] @ found[:, 1:]).T
    return _iou(hit, either)


def _iou(hit: NDArray[Any], either: NDArray[Any]) -> NDArray[np.float64]:
    return np.where(either > 0, hit / np.maximum(either, 1), np.nan)


def _mean(ious: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the classes that there are, (classes, n) -> (n,)."""
    there = ~np.isnan(ious)
    return np.asarray(np.where(there, ious, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1))
