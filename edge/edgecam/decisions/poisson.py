"""How likely it is that so many came by chance: the upper tail of the Poisson distribution, without SciPy."""

import math
from typing import Final

_LOG_2PI: Final = math.log(2 * math.pi)
_STIRLING_FROM: Final = 16


def tail(count: int, expected: float) -> float:
    """P(N >= count) for N ~ Poisson(expected). Exact but for rounding, also far out where it is tiny.

    Above the mean the tail is summed itself, below it the rest, so nothing small is a difference of large
    numbers. Both sums have terms that only fall; they end where one no longer counts.
    """
    if expected < 0 or not math.isfinite(expected):
        raise ValueError(f"The expected count must be finite and not negative, not {expected}.")
    if count <= 0:
        return 1.0
    if expected == 0:
        return 0.0
    if count > expected:
        return _mass(count, expected) * _rising(count, expected)
    return 1.0 - _mass(count - 1, expected) * _falling(count - 1, expected)


def _rising(count: int, expected: float) -> float:
    """sum over n >= count of P(N = n) / P(N = count)."""
    total, term = 1.0, 1.0
    while term > total * 1e-17:
        count += 1
        term *= expected / count
        total += term
    return total


def _falling(count: int, expected: float) -> float:
    """sum over n <= count of P(N = n) / P(N = count)."""
    total, term = 1.0, 1.0
    while count > 0 and term > total * 1e-17:
        term *= count / expected
        count -= 1
        total += term
    return total


def _mass(count: int, expected: float) -> float:
    """P(N = count), by the saddle point: exp(count log expected) alone would lose digits to cancellation.

    Source: C. Loader, Fast and Accurate Computation of Binomial Probabilities, 2000.
    """
    if count == 0:
        return math.exp(-expected)
    away = (expected - count) / count
    # log1p keeps the digits near the mean, and has none left where `away` is all but -1.
    ratio = math.log1p(away) if away > -0.5 else math.log(expected) - math.log(count)
    deviance = count * (away - ratio)
    return math.exp(-deviance - _stirling_error(count) - 0.5 * (_LOG_2PI + math.log(count)))


def _stirling_error(n: int) -> float:
    """log(n!) minus Stirling's formula for it."""
    if n < _STIRLING_FROM:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - 0.5 * _LOG_2PI
    square = 1.0 / (n * n)
    return (1 / 12 - (1 / 360 - (1 / 1260 - square / 1680) * square) * square) / n


def fires_at(expected: float, p: float) -> int:
    """The smallest count k with E[N; N >= k] = expected * P(N >= k - 1) below `p`, for N ~ Poisson(expected).

    See `alarms` for why that, and not P(N >= k), is what a sliding window may be judged by.
    """

    def rare(count: int) -> bool:
        return expected * tail(count - 1, expected) < p

    low, high = 0, max(1, math.ceil(expected))
    while not rare(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if rare(middle) else (middle, high)
    return high
