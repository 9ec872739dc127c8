"""How many more photos a class needs: the error of left-out photos against the number of photos.

The ridge regression is fitted to draws of fewer photos a class and asked about those that were not drawn.
Error falls as a power of the number, e(n) = a n^-b, for many learners over a wide range (arXiv:1712.00409).
With b from all classes and the error of each, how many it takes to come down to a wanted one follows.
"""

from typing import Final, NamedTuple

import numpy as np

from edgecam_training.fewshot.learned import Floats, Labels, one_hot
from edgecam_training.fewshot.ridge import UNJUDGED, balanced, solve
from edgecam_training.fewshot.space import space_of

WANTED: Final = 0.1  # error
DRAWS: Final = 4
MOST: Final = 10  # times as many photos: further than that nobody can see
_SLOWEST, _FASTEST = 0.1, 1.5  # what b may be: few draws give odd slopes


class Curve(NamedTuple):
    """Error by number of photos a class."""

    shots: list[int]
    errors: list[float]
    slope: float  # b; 0 where there are too few photos to see one


class Need(NamedTuple):
    """What a class lacks."""

    label: int
    error: float  # of its left-out photos
    more: int | None  # photos that would bring it to WANTED; None: more than MOST times as many


def learning_curve(pooled: Floats, labels: Labels, k: int, rng: np.random.Generator) -> Curve:
    """Errors at a quarter, half and three quarters of the smallest class's photos."""
    smallest = int(np.bincount(labels, minlength=k).min())
    shots = sorted({s for s in (smallest // 4, smallest // 2, 3 * smallest // 4) if s > 0})
    length = space_of(pooled, labels).length
    errors = [
        float(np.mean([_error(pooled / length, labels, k, each, rng) for _ in range(DRAWS)]))
        for each in shots
    ]
    if len(shots) < 2 or min(errors) <= 0:
        return Curve(shots, errors, 0.0)
    slope = -np.polyfit(np.log(shots), np.log(errors), 1)[0]
    return Curve(shots, errors, float(np.clip(slope, _SLOWEST, _FASTEST)))


def needs(curve: Curve, called: Labels, labels: Labels, k: int) -> list[Need]:
    """The classes that are wrong more often than wanted, by what their n left-out photos were called.

    One photo is added that was wrong by half, so that of three photos all right does not mean perfect.
    """
    found = []
    for each in range(k):
        of = labels == each
        n = int(of.sum())
        if n == 0:
            continue
        wrong = float((called[of] != each).sum())
        error = (wrong + 0.5) / (n + 1)
        if wrong == 0 or error <= WANTED or not curve.slope:
            continue
        factor = (error / WANTED) ** (1 / curve.slope)
        found.append(Need(each, wrong / n, int(np.ceil(n * (factor - 1))) if factor <= MOST else None))
    return found


def _error(x: Floats, labels: Labels, k: int, shots: int, rng: np.random.Generator) -> float:
    drawn = np.concatenate(
        [rng.choice(np.flatnonzero(labels == each), shots, replace=False) for each in range(k)]
    )
    rest = np.setdiff1d(np.arange(len(labels)), drawn)
    found = solve(x[drawn], one_hot(labels[drawn], k), balanced(labels[drawn], k), UNJUDGED)
    wrong = (x[rest] @ found.weight.T + found.bias).argmax(axis=1) != labels[rest]
    per_class = [wrong[labels[rest] == each].mean() for each in range(k) if (labels[rest] == each).any()]
    return float(np.mean(per_class)) if per_class else 0.0
