"""When what is seen is none of the classes: the fit behind `edgecam_engines.taught.unknown`.

The ridge regression of `ridge`, with photos of other things as one class more where there are any: they show
what else there is, and no class of the head. What it would say of a photo left out is exact, and so is the
spread of a class's new photos around its corner. Photos come in series, and one that is left out alone is
recognised by the shot before it, which no new photo will be. So each is left out with the two most like it;
with none left out beside, a threshold for 5 % of the photos took 8 to 10 % of new ones for unknown.

On the same features (tests/benchmarks/fewshot_unknown.py) energy, distances to class means and to photos,
Mahalanobis plain and relative (arXiv:2106.09022), and the virtual logit (arXiv:2203.10807) tell a class
that is like the taught ones hardly better than chance: a known thing on another day is as far away.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_engines.taught.unknown import nearness
from edgecam_training.fewshot.learned import Floats, Labels, one_hot
from edgecam_training.fewshot.ridge import Solved, balanced, solve
from edgecam_training.fewshot.space import space_of

PENALTY: Final = 0.3
ALIKE: Final = 2  # photos that are left out with each
_MISTAKEN: Final = -1.0  # nearness from which a photo "of other things" may well be of a class


class Corners(NamedTuple):
    """A fitted regression over pooled features."""

    weight: Floats  # (k, d), or (k + 1, d) with other things
    bias: Floats
    spread: Floats  # (k,)
    held_out: Floats  # (n,): how known each photo is to a fit that saw neither it nor the one most like it

    def score(self, pooled: Floats) -> Floats:
        return np.asarray(nearness(pooled @ self.weight.T + self.bias, self.spread).max(axis=1))


def fit_corners(pooled: Floats, labels: Labels, k: int, others: Floats) -> Corners:
    """Photos (n, d) with labels (n,) of k classes, two or more each; `others` (m, d) are of none, if any."""
    n = len(pooled)
    length = space_of(pooled, labels).length
    x = np.vstack([pooled, others]) / length
    at = np.append(labels, np.full(len(others), k))
    rows = k + (len(others) > 0)
    wanted = one_hot(at, rows)
    solved = solve(x, wanted, balanced(at, rows), PENALTY)
    said = left_out_together(solved, wanted, alike(x[:n], labels))[:, 0]
    own = -nearness(said, np.ones(k))[np.arange(n), labels]
    spread = np.array([max(own[labels == c].mean(), np.finfo(np.float32).eps) for c in range(k)])
    held_out = nearness(said, spread).max(axis=1)
    return Corners(solved.weight / length, solved.bias, spread, np.asarray(held_out))


def of_other_things(pooled: Floats, labels: Labels, k: int, others: Floats) -> Floats:
    """Those of `others` (m, d) that no taught class can claim: the same thing may go by another name."""
    if not len(others):
        return others
    alone = fit_corners(pooled, labels, k, others[:0])
    return np.asarray(others[alone.score(others) < _MISTAKEN])


def alike(x: Floats, labels: Labels, most: int = ALIKE) -> NDArray[np.int64]:
    """Each photo (n, d) and the `most` of its class nearest to it: (n, 1 + most), itself first.

    A class of so few photos that none would be left has some of its photos more than once in a row.
    """
    squared = (x**2).sum(axis=1)
    apart = squared[:, None] + squared - 2 * x @ x.T
    apart[labels[:, None] != labels] = np.inf
    np.fill_diagonal(apart, -np.inf)
    order = np.argsort(apart, axis=1, kind="stable")[:, : 1 + most]
    spare = np.bincount(labels)[labels] - 2  # that can go besides the photo itself
    return np.where(np.arange(1 + most) <= np.maximum(spare, 0)[:, None], order, order[:, :1])


def left_out_together(solved: Solved, wanted: Floats, groups: NDArray[np.int64]) -> Floats:
    """What each photo of a group (n, g) would have been given without any of the group: (n, g, k).

    With the hat matrix H of the group, t - (I - H)^-1 (t - f): the block form of `ridge.left_out`. A photo
    that stands in a row more than once counts once.
    """
    again = np.array([[each in row[:i] for i, each in enumerate(row)] for row in groups.tolist()])
    free = solved.free[groups[:, :, None], groups[:, None, :]].copy()
    residual = solved.residual[groups]
    free[again[:, :, None] | again[:, None, :]] = 0
    residual[again] = 0
    free[:, np.arange(groups.shape[1]), np.arange(groups.shape[1])] += again
    off = np.linalg.solve(free, residual) / solved.root[groups][..., None]
    return np.asarray(wanted[groups] - off)
