"""What many measured times come to: percentiles, what bounds them, how they spread, how sure they are."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from edgecam.bench.percentiles import least_samples, order_statistic, rank, upper_bound
from edgecam.bench.timing import Floats

PERCENTILES: Final = (50, 90, 95, 99)
BOUNDED: Final = (90, 95, 99)
_RESAMPLES: Final = 1000
_CHUNK: Final = 2_000_000  # numbers held at a time


class Statistics(NamedTuple):
    """Of one column of times. Milliseconds."""

    n: int
    mean: float
    variation: float  # standard deviation over mean
    percentiles: dict[int, float]
    intervals: dict[int, tuple[float, float]]  # 95 %, bootstrap
    bounds: dict[int, float | None]  # the true percentile is below with 99 %; None for too few values

    def document(self) -> dict[str, Any]:
        """As JSON; microseconds are the last digit told."""
        return {
            "n": self.n,
            "mean": round(self.mean, 3),
            "coefficient_of_variation": round(self.variation, 4),
            "ci95": {f"p{p}": [round(end, 3) for end in ends] for p, ends in self.intervals.items()},
            "upper99": {
                f"p{p}": None if bound is None else round(bound, 3) for p, bound in self.bounds.items()
            },
            "least_samples": {f"p{p}": least_samples(p) for p in self.bounds},
        }


def summarise(seconds: Floats, rng: np.random.Generator, percents: Sequence[int] = PERCENTILES) -> Statistics:
    """Of times (n,) in seconds, n >= 1."""
    ms = np.asarray(seconds, dtype=np.float64) * 1e3
    mean = float(ms.mean())
    return Statistics(
        n=len(ms),
        mean=mean,
        variation=float(ms.std()) / mean if mean > 0 else 0.0,
        percentiles={p: order_statistic(ms, p) for p in percents},
        intervals=bootstrap(ms, percents, rng),
        bounds={p: upper_bound(ms, p) for p in BOUNDED},
    )


def bootstrap(
    values: Floats, percents: Sequence[int], rng: np.random.Generator, resamples: int = _RESAMPLES
) -> dict[int, tuple[float, float]]:
    """95 % percentile-bootstrap intervals of order statistics of (n,).

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. Near the maximum it is
    too narrow, since no resample exceeds what was seen: for the tail read the upper bound.
    """
    ordered, n = np.sort(values), len(values)
    at = [rank(n, p) - 1 for p in percents]
    rows = []
    size = max(1, _CHUNK // n)
    for start in range(0, resamples, size):
        drawn = np.sort(rng.integers(n, size=(min(size, resamples - start), n)), axis=1)
        rows.append(ordered[drawn[:, at]])
    low, high = np.quantile(np.concatenate(rows), [0.025, 0.975], axis=0)
    return {p: (float(a), float(b)) for p, a, b in zip(percents, low, high, strict=True)}
