"""In how many images a proposed box lies on a true one, at every threshold of the score map.

MaxBoxAcc takes the box around the largest contour, MaxBoxAccV2 any box; both take the threshold at which
the most images are right, V2 one for each IoU level, and then the mean of the levels.
Source: Choe et al., arXiv:2001.07437 and arXiv:2007.04178; see `contours` for the boxes.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecam_calibration.intervals import Estimate, proportion
from edgecam_calibration.localization.bootstrap import middle, redraws
from edgecam_calibration.localization.contours import Proposals, box_iou
from edgecam_calibration.localization.sweep import Sweep

IOU_LEVELS: Final = (0.3, 0.5, 0.7)

_LARGEST: Final = len(IOU_LEVELS)  # row of a table of hits: the largest contour's box, at IoU 0.5
# Four images that nobody has seen, right or wrong everywhere; of a pair, in every mix. See `redrawn`.
_DOUBT: Final = np.array([1, 1, 0, 0], np.uint8)
_OTHERS_DOUBT: Final = np.array([1, 0, 1, 0], np.uint8)
_BLOCK: Final = 8192  # images unpacked at a time


class BoxIous(NamedTuple):
    """One image: the best IoU of a proposed box with a true one, at each cut."""

    best: NDArray[np.float64]  # (c,) of any contour
    largest: NDArray[np.float64]  # (c,) of the largest contour


def box_ious(proposed: Proposals, boxes: ArrayLike) -> BoxIous:
    """Judge a map's boxes by true ones (g, 4), g > 0."""
    every, largest = (box_iou(boxes, each).max(axis=0) for each in (proposed.boxes, proposed.largest))
    return BoxIous(np.maximum.reduceat(every, proposed.starts), largest)


@dataclass(frozen=True)
class BoxCurve:
    """Shares of images that are right, at each threshold."""

    thresholds: NDArray[np.float64]  # (t,)
    any_contour: NDArray[np.float64]  # (3, t) at IoU 0.3, 0.5, 0.7
    largest: NDArray[np.float64]  # (t,) at IoU 0.5

    def choose(self) -> float:
        """The first threshold with the highest mean of the three levels."""
        return float(self.thresholds[self.any_contour.mean(axis=0).argmax()])


@dataclass(frozen=True)
class BoxFigures:
    """The accuracies of a set of images, each at its own best threshold, or all at one given."""

    v2: Estimate  # mean of the three below
    levels: dict[str, Estimate]  # "0.3", "0.5", "0.7": any contour
    gt_known: Estimate  # largest contour, IoU 0.5
    top1: Estimate | None  # the same and the class right; None where no prediction is known
    thresholds: dict[str, float]  # where: "0.3", "0.5", "0.7", "gt_known"


class BoxTable:
    """Which boxes of which image were right, one byte for each image and cut."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._hits: list[NDArray[np.uint8]] = []  # (c,) each; bits 0 to 2 any contour, bit 3 the largest
        self._right: list[bool | None] = []

    def __len__(self) -> int:
        return len(self._hits)

    def add(self, ious: BoxIous, right: bool | None) -> None:
        """One image; `right` says whether its class was told rightly."""
        found = [ious.best >= level for level in IOU_LEVELS] + [ious.largest >= 0.5]
        self._hits.append(np.packbits(found, axis=0, bitorder="little")[0])
        self._right.append(right)

    def extend(self, other: "BoxTable") -> None:
        """The images of another table after those of this one."""
        self._hits += other._hits
        self._right += other._right

    def curve(self) -> BoxCurve:
        """Raises ValueError when there are no images, as every figure does."""
        shares = self._totals() / len(self)
        at = shares[:, self._sweep.cut_of]
        return BoxCurve(self._sweep.thresholds, at[:_LARGEST], at[_LARGEST])

    def best(self, *, rng: np.random.Generator) -> BoxFigures:
        """Every accuracy at its own best threshold, the first of equals, as the protocol reports them.

        The interval of V2 knows that the thresholds were chosen on these very images, as it chooses them
        again in every set drawn; the other intervals are Wilson's at the threshold chosen.
        """
        return self._figures(self._totals().argmax(axis=1), every_cut=True, rng=rng)

    def at(self, threshold: float, *, rng: np.random.Generator) -> BoxFigures:
        """Every accuracy at one threshold, which was chosen elsewhere."""
        cut = self._sweep.cut_of[self._sweep.nearest(threshold)]
        return self._figures(np.full(_LARGEST + 1, cut), every_cut=False, rng=rng)

    def difference(self, other: "BoxTable", *, rng: np.random.Generator) -> Estimate:
        """V2 less that of another one on the same images, each at its own best thresholds.

        The interval is a paired bootstrap: both are given the same sets, and choose again in each.
        Raises ValueError for tables of different lengths.
        """
        if len(self) != len(other):
            raise ValueError(f"A pair is judged on the same images, not on {len(self)} and {len(other)}.")
        seed = int(rng.integers(2**63))
        moved = self._redrawn(None, np.random.default_rng(seed)) - other._redrawn(
            None, np.random.default_rng(seed), _OTHERS_DOUBT
        )
        return middle(self._v2() - other._v2(), moved, len(self))

    def _v2(self) -> float:
        return float(self._totals()[:_LARGEST].max(axis=1).mean() / len(self))

    def _figures(self, cuts: NDArray[np.int64], *, every_cut: bool, rng: np.random.Generator) -> BoxFigures:
        names = [f"{level:g}" for level in IOU_LEVELS]
        hits = [self._at_cut(row, int(cut)) for row, cut in enumerate(cuts)]
        levels = {name: proportion(hits[row]) for row, name in enumerate(names)}
        mean = float(np.mean([share.value for share in levels.values()]))
        first = np.searchsorted(self._sweep.cut_of, cuts)  # thresholds and cuts ascend together
        return BoxFigures(
            v2=middle(mean, self._redrawn(None if every_cut else cuts, rng), len(self)),
            levels=levels,
            gt_known=proportion(hits[_LARGEST]),
            top1=self._top1(hits[_LARGEST]),
            thresholds=dict(zip([*names, "gt_known"], self._sweep.thresholds[first].tolist(), strict=True)),
        )

    def _top1(self, localized: NDArray[np.bool_]) -> Estimate | None:
        known = [k for k, right in enumerate(self._right) if right is not None]
        right = np.array([bool(self._right[k]) for k in known], dtype=np.bool_)
        return proportion(localized[known] & right) if known else None

    def _totals(self) -> NDArray[np.int64]:
        """Images that are right, (4, c)."""
        if not self._hits:
            raise ValueError("No image with a true box was added: there is nothing to score.")
        totals = [_unpacked(block).sum(axis=0, dtype=np.int64) for block in self._blocks()]
        return np.asarray(np.sum(totals, axis=0), np.int64)

    def _at_cut(self, row: int, cut: int) -> NDArray[np.bool_]:
        return np.array([bool(hits[cut] >> row & 1) for hits in self._hits])

    def _blocks(self) -> list[NDArray[np.uint8]]:
        return [np.stack(self._hits[k : k + _BLOCK]) for k in range(0, len(self._hits), _BLOCK)]

    def _redrawn(
        self,
        cuts: NDArray[np.int64] | None,
        rng: np.random.Generator,
        doubt: NDArray[np.uint8] = _DOUBT,
    ) -> NDArray[np.float64]:
        """V2 on sets drawn again, (resamples,): at the best cuts of each set, or at those given.

        A plain bootstrap knows no doubt where all images are right. So sets are drawn from these images
        and four more (`doubt`), two right and two wrong everywhere, as Agresti and Coull (The American
        Statistician 52, 1998, 119-126) do for a share; their effect is gone at some hundred images.
        """
        n, means = len(self), []
        tables = []
        for block in self._blocks():
            hits = _unpacked(block)[:, :_LARGEST]
            tables.append(hits if cuts is None else hits[:, range(_LARGEST), cuts[:_LARGEST], None])
        sides = np.broadcast_to(doubt[:, None, None], (len(doubt), *tables[0].shape[1:]))
        table = np.concatenate([*tables, sides]).reshape(n + len(doubt), -1).astype(np.float32)
        for drawn in redraws(n + len(doubt), size=n, rng=rng):
            sums = (drawn @ table).reshape(len(drawn), _LARGEST, -1)
            means.append(sums.max(axis=2).mean(axis=1) / n)
        return np.concatenate(means).astype(np.float64)


def _unpacked(block: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, c) bytes -> (n, 4, c) of 0 and 1."""
    return np.stack([block >> row & 1 for row in range(_LARGEST + 1)], axis=1)
