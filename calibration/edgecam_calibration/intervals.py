"""How sure a measured number is: the Wilson interval of a share, the bootstrap interval of a mean."""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Estimate(NamedTuple):
    """A measured number, and the interval that holds the true one in 95 of 100 such measurements."""

    value: float
    low: float
    high: float
    n: int  # photos it was measured on

    @property
    def ci95(self) -> list[float]:
        """[low, high], as reports print it."""
        return [self.low, self.high]


def wilson(hits: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> NDArray[np.float64]:
    """The Wilson score interval of hits / n: arrays of one shape S -> (*S, 2), low and high.

    Unlike value +- error it stays within [0, 1] and is honest near 0 and 1. Nothing measured (n = 0)
    means nothing known: [0, 1]. Raises ValueError unless 0 <= hits <= n.
    Source: Wilson, Journal of the American Statistical Association 22 (1927), 209-212.
    """
    k, total = np.broadcast_arrays(np.asarray(hits, np.float64), np.asarray(n, np.float64))
    if np.any(k < 0) or np.any(k > total):
        raise ValueError(f"Hits must lie between 0 and n: {k} of {total}.")
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    # Written with n in the denominator alone, so that n = 0 needs no branch: centre 1/2, reach 1/2.
    centre = (k + z2 / 2) / (total + z2)
    spread = k * (1 - k / np.maximum(total, 1)) + z2 / 4
    reach = np.sqrt(z2 * spread) / (total + z2)
    # At k = 0 and k = n the bound is exact in theory; rounding must not push it past the value.
    low = np.where(k == 0, 0.0, np.maximum(centre - reach, 0.0))
    high = np.where(k == total, 1.0, np.minimum(centre + reach, 1.0))
    return np.stack([low, high], axis=-1)


def proportion(hits: NDArray[np.bool_]) -> Estimate:
    """The share of True in (n,), with its Wilson interval. Raises ValueError for n = 0."""
    if not hits.size:
        raise ValueError("A share of nothing is not defined: no photos were measured.")
    low, high = wilson(int(hits.sum()), hits.size).tolist()
    return Estimate(float(hits.mean()), low, high, hits.size)


def bootstrap_mean(
    values: NDArray[np.float64], *, rng: np.random.Generator, resamples: int = 2000
) -> Estimate:
    """The mean of (n,) with its 95 % percentile bootstrap interval. Raises ValueError for n = 0.

    For numbers that are no shares of hits, such as an IoU. Needs O(n) memory whatever `resamples` is.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    n = values.size
    if not n:
        raise ValueError("A mean of nothing is not defined: no photos were measured.")
    means = [values[rng.integers(n, size=n)].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(values.mean()), float(low), float(high), n)


def centred(
    value: float,
    draws: NDArray[np.float64],
    n: int,
    *,
    least: float = 0.0,
    most: float = 1.0,
    confidence: float = 0.95,
) -> Estimate:
    """A value measured on `n` photos, with the middle 95 % of what sets drawn again gave, (resamples,).

    The draws are shifted until their median is the value: a score that few photos push down is pushed
    down once more in every set drawn from them, and that is no news about the truth. Never leaves
    [least, most], and always holds the value.
    """
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(draws, ends) + (value - np.median(draws))
    return Estimate(value, max(least, min(float(low), value)), min(most, max(float(high), value)), n)


def f1_interval(hit: ArrayLike, either: ArrayLike) -> NDArray[np.float64]:
    """The 95 % interval of F1 of one class, from counts of one shape S -> (*S, 2), low and high.

    `hit` photos are of the class and called so; `either` are of it, called so, or both. F1 is
    2 J / (1 + J) with J = hit / either, a plain share of those photos, so Wilson's interval of J
    becomes F1's by the same formula, at 0 and at 1 as well.
    """
    share = wilson(hit, either)
    return np.asarray(2 * share / (1 + share), dtype=np.float64)
