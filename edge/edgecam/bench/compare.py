"""Whether one program is slower than another: an interval of the ratio, and a verdict in words.

Times follow one another, and what slows one query slows its neighbours, so single queries are no
independent evidence. They are taken together in blocks; the interval is Student's over the blocks' logarithms,
with as many blocks as their correlation leaves.
"""

import math
from statistics import NormalDist
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from edgecam.bench.timing import Floats

BLOCKS: Final = 24
CONFIDENCE: Final = 0.99
SMALLEST: Final = 0.01  # differences below are none that anybody would act on
_LEAST_BLOCKS: Final = 6

Metric = Literal["cpu", "latency"]
Verdict = Literal["no difference", "B is slower", "B is faster", "undecided"]


class Comparison(NamedTuple):
    """B against A."""

    ratio: float  # B over A
    low: float  # 99 % interval
    high: float
    metric: Metric
    paired: bool  # measured in turn, so that each had the same neighbours
    samples: tuple[int, int]

    @property
    def verdict(self) -> Verdict:
        """`undecided` when the interval holds both no difference and one of 5 %."""
        if self.low > 1 and self.ratio - 1 >= SMALLEST:
            return "B is slower"
        if self.high < 1 and 1 - self.ratio >= SMALLEST:
            return "B is faster"
        return "no difference" if self.high < 1.05 and self.low > 1 / 1.05 else "undecided"

    def in_words(self) -> str:
        what = "processor time" if self.metric == "cpu" else "latency"
        how = "measured in turn" if self.paired else "measured apart"
        interval = f"99 % interval {_percent(self.low)} to {_percent(self.high)}, {how}"
        if self.verdict in {"B is slower", "B is faster"}:
            more = "more" if self.ratio > 1 else "less"
            return f"{self.verdict}: it takes {abs(self.ratio - 1) * 100:.1f} % {more} {what} than A ({interval})."
        if self.verdict == "no difference":
            return f"no difference in {what}: B takes {_percent(self.ratio)} ({interval})."
        return (
            f"undecided: B takes {_percent(self.ratio)} {what} ({interval}). More runs, or a calmer machine."
        )

    def document(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "words": self.in_words(),
            "ratio": round(self.ratio, 4),
            "interval99": [round(self.low, 4), round(self.high, 4)],
            "metric": self.metric,
            "paired": self.paired,
            "samples": list(self.samples),
        }


def unpaired(a: Floats, b: Floats, metric: Metric) -> Comparison:
    """Of times (n,) and (m,) measured apart, each in order. Raises ValueError for fewer than 48 of either."""
    first, second = _blocks(a), _blocks(b)
    difference = float(second.mean() - first.mean())
    parts = [(each.var(ddof=1) / _independent(each), _independent(each) - 1) for each in (first, second)]
    error = math.sqrt(sum(variance for variance, _ in parts))
    # Welch's degrees of freedom.
    freedom = error**4 / max(1e-300, sum(variance**2 / nu for variance, nu in parts)) if error else 1e9
    return _comparison(difference, error, freedom, metric, False, (len(a), len(b)))


def paired(a: Floats, b: Floats, metric: Metric) -> Comparison:
    """Of times (n,) that were measured in turn, one of A and one of B. Raises ValueError for fewer than 48."""
    if len(a) != len(b):
        raise ValueError(f"pairs need two of each, not {len(a)} and {len(b)}")
    differences = _blocks(b / a)
    independent = _independent(differences)
    error = math.sqrt(differences.var(ddof=1) / independent)
    return _comparison(float(differences.mean()), error, independent - 1, metric, True, (len(a), len(b)))


def student(chance: float, freedom: float) -> float:
    """Student's quantile for 5 degrees of freedom or more, to a hundredth.

    Source: the expansion of Abramowitz and Stegun, 26.7.5.
    """
    z, v = NormalDist().inv_cdf(chance), freedom
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4)
    )


def _comparison(
    difference: float, error: float, freedom: float, metric: Metric, paired: bool, samples: tuple[int, int]
) -> Comparison:
    reach = student((1 + CONFIDENCE) / 2, max(freedom, _LEAST_BLOCKS - 1)) * error
    ends = (math.exp(difference - reach), math.exp(difference + reach))
    return Comparison(math.exp(difference), *ends, metric, paired, samples)


def _blocks(times: Floats) -> Floats:
    """Logarithms of the medians of BLOCKS stretches of neighbours, (n,) -> (BLOCKS,)."""
    if len(times) < 2 * BLOCKS:
        raise ValueError(f"{len(times)} samples are too few to compare; {2 * BLOCKS} or more are needed")
    if not (times > 0).all():
        raise ValueError("a time of 0 was measured: the clock is too coarse for these queries")
    return np.array([math.log(np.median(part)) for part in np.array_split(times, BLOCKS)])


def _independent(blocks: Floats) -> float:
    """How many independent blocks these are worth, by the correlation of neighbours."""
    around = blocks - blocks.mean()
    power = float((around**2).sum())
    correlation = float((around[1:] * around[:-1]).sum()) / power if power else 0.0
    worth = len(blocks) * (1 - correlation) / (1 + correlation)
    return min(float(len(blocks)), max(float(_LEAST_BLOCKS), worth))


def _percent(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.1f} %"
