"""The cheapest set that undoes enough harm: a knapsack whose items lie on a line."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

STEPS: Final = 2000  # of harm; each item's is rounded down to them, so what is found is always enough


class _Best(NamedTuple):
    """After some items, by [was the last one taken, steps undone so far]."""

    cost: NDArray[np.float64]  # (2, STEPS + 1)
    before: NDArray[np.int64]  # (2, STEPS + 1, 2): the same two of the item before


def cover(
    harms: Sequence[float], costs: Sequence[float], crossings: Sequence[float], need: float
) -> list[int] | None:
    """Indices whose harms sum to `need` or more at the least cost; None when all of them are not enough.

    `costs[i]` is paid for taking item i, `crossings[i]` where exactly one of items i - 1 and i is taken
    (`crossings[0]` is never paid). Exact but for the rounding: dynamic programming over the harm undone,
    with the state of the last item.
    """
    if need <= 0:
        return []
    if sum(harms) < need:
        return None
    units = np.floor(np.minimum(harms, need) / need * STEPS).astype(np.int64)
    start = np.full((2, STEPS + 1), np.inf)
    start[0, 0] = 0
    found: list[_Best] = []
    for i, unit in enumerate(units.tolist()):
        previous = found[-1].cost if found else start
        found.append(_extend(previous, unit, costs[i], crossings[i] if i else 0.0))
    if not np.isfinite(found[-1].cost[:, STEPS]).any():
        return list(range(len(harms)))  # all are needed, and only rounding says otherwise
    state, step = int(found[-1].cost[:, STEPS].argmin()), STEPS
    taken = []
    for i in reversed(range(len(found))):
        if state:
            taken.append(i)
        state, step = found[i].before[state, step].tolist()
    return taken[::-1]


def cost_of(taken: Sequence[bool], costs: Sequence[float], crossings: Sequence[float]) -> float:
    """What a choice costs: its items, and every change between neighbours."""
    changes = sum(crossings[i] for i in range(1, len(taken)) if taken[i] != taken[i - 1])
    return sum(cost for cost, is_taken in zip(costs, taken, strict=True) if is_taken) + changes


def _extend(cost: NDArray[np.float64], unit: int, price: float, crossing: float) -> _Best:
    """With one more item of `unit` steps, left or taken."""
    left = np.stack([cost[0], cost[1] + crossing])
    taken = np.stack([cost[0] + crossing, cost[1]]) + price
    steps = np.arange(STEPS + 1)
    came = steps - unit  # what is undone beyond STEPS is not counted, so several lead to the last
    came[STEPS] = STEPS - unit + int(taken.min(axis=0)[STEPS - unit :].argmin())
    reachable = np.where(came >= 0, taken.min(axis=0)[came.clip(0)], np.inf)
    before_left = np.stack([left.argmin(axis=0), steps], axis=1)
    before_taken = np.stack([taken.argmin(axis=0)[came.clip(0)], came.clip(0)], axis=1)
    return _Best(np.stack([left.min(axis=0), reachable]), np.stack([before_left, before_taken]))
