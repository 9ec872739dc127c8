"""Dealing cut-outs and backgrounds to the three parts, so that no part shares any with another."""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

import numpy as np

Thing = TypeVar("Thing")

MIN_GROUPS: Final = 3  # one for each part
VAL_SHARE: Final = 0.15
TEST_SHARE: Final = 0.25


class Dealt(NamedTuple):
    """Disjoint shares, in the order of terms.PARTS. Lists of things to draw from."""

    train: list[int]
    val: list[int]
    test: list[int]


def deal(groups: Sequence[Sequence[int]], rng: np.random.Generator) -> Dealt:
    """Indices to the parts, 60 : 15 : 25, a group as a whole and at least one group to each.

    What is learned from gets the largest share; `val` only chooses a threshold. Needs MIN_GROUPS groups.
    """
    if len(groups) < MIN_GROUPS:
        raise ValueError(f"{len(groups)} groups cannot be dealt to {MIN_GROUPS} parts.")
    order = [list(groups[k]) for k in rng.permutation(len(groups))]
    total = sum(map(len, order))
    test = _take(order, TEST_SHARE * total, leave=2)
    val = _take(order, VAL_SHARE * total, leave=1)
    return Dealt([k for group in order for k in group], val, test)


def _take(order: list[list[int]], wanted: float, *, leave: int) -> list[int]:
    """Groups off the front while that comes nearer to what is wanted; one at least."""
    taken = order.pop(0)
    while len(order) > leave and len(taken) + len(order[0]) / 2 <= wanted:
        taken = taken + order.pop(0)
    return taken
