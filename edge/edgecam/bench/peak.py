"""The highest arrival rate whose p99 holds a bound: the figure of MLPerf's Server scenario."""

from collections.abc import Callable
from typing import Final, NamedTuple

from edgecam.bench.percentiles import upper_bound
from edgecam.bench.record import Run

_TRIES: Final = 24
_HALVINGS: Final = 5  # without any rate that held: slower ones wait for nothing, and would take hours
CLOSE: Final = 0.02  # the search ends when what holds and what does not are this near


class Try(NamedTuple):
    """One rate that was tried."""

    rate: float  # arrivals a second
    p99_bound: float | None  # seconds that the true p99 stays below; None for too few queries
    held: bool


class Peak(NamedTuple):
    """What the search found."""

    rate: float | None  # highest rate that held; None when none did
    run: Run  # at that rate, or at the last one that did not hold
    tries: list[Try]


def find_peak(at: Callable[[float], Run], *, first: float, bound: float, close: float = CLOSE) -> Peak:
    """Double the rate until it does not hold, halve it until it does, then halve the gap between the two.

    `at` runs the scenario at a rate. A rate holds when the 99 % upper bound of its p99 is at most `bound`
    seconds, so it takes 662 queries. `first` is where to begin, such as 1 / the closed loop's p50 / 2.
    """
    low: float | None = None
    high: float | None = None
    best: Run | None = None
    tries: list[Try] = []
    rate = first
    while True:
        run = at(rate)
        worst = upper_bound(run.latency, 99)
        held = worst is not None and worst <= bound
        tries.append(Try(rate, worst, held))
        if held:
            low, best = rate, run
        else:
            high = rate
        hopeless = low is None and len(tries) > _HALVINGS
        if hopeless or len(tries) >= _TRIES or (low and high and high / low - 1 <= close):
            return Peak(low, best or run, tries)
        rate = _next(low, high)


def _next(low: float | None, high: float | None) -> float:
    if low is None:
        assert high is not None
        return high / 2
    return low * 2 if high is None else (low + high) / 2
