"""Percentiles that were measured, and what the true ones stay below.

An order statistic is one of the measured values; nothing is interpolated between two.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

from edgecam.bench.timing import Floats


def order_statistic(values: Sequence[float] | Floats, percent: float) -> float:
    """The smallest measured value with at least `percent` of all values at or below it."""
    ordered = sorted(float(value) for value in values)
    return ordered[rank(len(ordered), percent) - 1]


def rank(n: int, percent: float) -> int:
    """Which of `n` ordered values, counted from 1, is the percentile."""
    # Thousandths in whole numbers: 0.99 * 700 need not be 693.
    return max(1, -(-n * round(percent * 1000) // 100_000))


def upper_bound(values: Sequence[float] | Floats, percent: float, confidence: float = 0.99) -> float | None:
    """A measured value that the true percentile stays below with `confidence`; None for too few values.

    p90 needs 64 values, p95 130, p99 662 (`least_samples`). It supposes independent values, as MLPerf does;
    waits in a queue are not, so there it is a guide.
    Source: the early stopping rule of MLPerf Inference, with a tolerance of 0.
    """
    n = len(values)
    allowed = _worst_allowed(n, percent, confidence)
    return sorted(float(value) for value in values)[n - allowed] if allowed else None


def least_samples(percent: float, confidence: float = 0.99) -> int:
    """How many values `upper_bound` needs: the smallest n with n and n + 1 hits in a row unlikely enough."""
    n = 1
    while not _worst_allowed(n, percent, confidence):
        n += 1
    return n


@lru_cache(maxsize=1024)
def _worst_allowed(n: int, percent: float, confidence: float) -> int:
    """How many of `n` values lie at or above the bound, itself among them; 0 when there can be none."""
    allowed, tail = -1, 0.0  # tail: the chance that at most `allowed` values lie above the true percentile
    while tail <= 1 - confidence and allowed < n:
        allowed += 1
        tail += binomial(n, allowed, 1 - percent / 100)
    return max(0, allowed - 1)


def binomial(n: int, k: int, p: float) -> float:
    """Chance of k hits in n tries, by logarithms, since n! overflows."""
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(ways + k * math.log(p) + (n - k) * math.log1p(-p))
