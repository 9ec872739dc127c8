"""Whole test sets weighed again: how far macro scores would move if the photos had been others.

To a score that counts, a set is a weight for each distinct (label, answers): the number of its photos. The
Bayesian bootstrap draws those weights anew from Gamma distributions with these numbers as their means, at
one draw for each distinct row, whatever the size of the set.
Source: Rubin, Annals of Statistics 9 (1981), 130-134.

A bootstrap of any kind knows no doubt where no photo was answered wrong: of 50 right of 50 it says [1, 1].
So half a photo is added for each mix of right and wrong (two mixes for one engine, four for a pair), with
labels as frequent as those seen. For top-1 this is exactly Jeffreys' interval; at some hundred photos its
effect is gone.
"""

from collections.abc import Iterator
from itertools import product
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES: Final = 2000
_DOUBTFUL: Final = 100  # rows that share the weight of the added photos
_CHUNK: Final = 2_000_000  # numbers held at a time

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class Tally(NamedTuple):
    """What counting scores are made of, for one set (classes,) or for many, (sets, classes)."""

    hit: NDArray[np.number]  # photos of the class that were called so
    support: NDArray[np.number]  # photos of the class
    called: NDArray[np.number]  # photos called so


class Shares(NamedTuple):
    """One class against the rest, each (..., classes); 0/0 is 0."""

    precision: Floats
    recall: Floats
    f1: Floats
    fpr: Floats


def tally(confusion: Counts) -> Tally:
    """From counts (classes, classes), row = what it is, column = what it was called."""
    return Tally(np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0))


def shares(counted: Tally) -> Shares:
    """Precision, recall, F1 and false-positive rate of each class."""
    hit, support, called = counted
    others = support.sum(axis=-1, keepdims=True) - support
    return Shares(
        _ratio(hit, called),
        _ratio(hit, support),
        _ratio(2 * hit, support + called),
        _ratio(called - hit, others),
    )


def macro(values: Floats, support: NDArray[np.number]) -> Floats:
    """Mean over the classes that have photos, (..., classes) -> (...)."""
    there = support > 0
    return np.asarray((values * there).sum(axis=-1) / there.sum(axis=-1), dtype=np.float64)


def resampled(
    labels: Counts, calls: Counts, classes: int, *, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Iterator[list[Tally]]:
    """Test sets like this one, some at a time: for each of the m engines a Tally of (sets, classes).

    `labels` (n,) and `calls` (n, m) are class indices. All engines are given the same sets.
    """
    seen, photos = np.unique(np.column_stack([labels, calls]), axis=0, return_counts=True)
    doubtful, weight = _doubtful(labels, calls.shape[1], classes, rng)
    rows = np.concatenate([seen, doubtful])
    weights = np.concatenate([photos, np.full(len(doubtful), weight)])
    label, answers = rows[:, 0], rows[:, 1:].T
    support = _Sums(label, classes)
    sums = [(_Sums(np.where(a == label, label, classes), classes), _Sums(a, classes)) for a in answers]
    size = max(1, _CHUNK // len(rows))
    for start in range(0, resamples, size):
        drawn = rng.standard_gamma(weights, size=(min(size, resamples - start), len(rows)))
        yield [Tally(hit.of(drawn), support.of(drawn), called.of(drawn)) for hit, called in sums]


class _Sums:
    """Columns that belong to the same class, added up."""

    def __init__(self, key: Counts, classes: int) -> None:
        self._order = np.argsort(key, kind="stable")
        self._ends = np.searchsorted(key[self._order], np.arange(classes), side="right")

    def of(self, drawn: Floats) -> Floats:
        """(sets, rows) -> (sets, classes). Rows of no class (the index `classes`) are left out."""
        running = np.cumsum(np.pad(drawn[:, self._order], ((0, 0), (1, 0))), axis=1)
        return np.diff(running[:, self._ends], axis=1, prepend=0)


def _doubtful(labels: Counts, engines: int, classes: int, rng: np.random.Generator) -> tuple[Counts, float]:
    """Rows (label, answers) in which every mix of right and wrong is as frequent, and the weight of each."""
    by_class = np.sort(labels)
    mixes = np.array(list(product([True, False], repeat=engines)))
    right = np.tile(mixes, (_DOUBTFUL // len(mixes), 1))
    label = rng.choice(by_class, size=len(right))
    calls = [np.where(mine, label, _other(label, by_class, classes, rng)) for mine in right.T]
    return np.column_stack([label, *calls]), len(mixes) / 2 / len(right)


def _other(label: Counts, by_class: Counts, classes: int, rng: np.random.Generator) -> Counts:
    """Another class for each, as frequent as among the photos; `classes` where there is no other."""
    first, last = (np.searchsorted(by_class, label, side=side) for side in ("left", "right"))
    others = len(by_class) - (last - first)
    drawn = (rng.random(len(label)) * others).astype(np.int64)
    at = np.where(drawn < first, drawn, drawn + last - first)
    return np.where(others > 0, by_class[np.minimum(at, len(by_class) - 1)], classes)


def _ratio(above: NDArray[np.number], below: NDArray[np.number]) -> Floats:
    ratio: Floats = np.divide(above, below, out=np.zeros(below.shape), where=below > 0)
    return ratio
