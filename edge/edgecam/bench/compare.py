"""Whether one program is slower than another: an interval of the ratio, and a verdict in words.

The same program, started again, is a percent or two faster or slower for as long as it lives: where its
memory came to lie decides. Frames of one process are no independent evidence: processes are counted.

    paired      both are started several times over and answer in turn; Student's interval over the processes
    unpaired    two results of one process each, measured apart; what processes differ by is added as known
"""

import math
from statistics import NormalDist
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from edgecam.bench.timing import Floats

CONFIDENCE: Final = 0.99
SMALLEST: Final = 0.01  # differences below are none that anybody would act on
# Standard deviation of log processor time between processes of one bundle; 0.014 of six, in turn.
BETWEEN_PROCESSES: Final = 0.015
_BLOCKS: Final = 24
_LEAST: Final = 6  # blocks or processes

Metric = Literal["cpu", "latency"]
Verdict = Literal["no difference", "B is slower", "B is faster"]


class Comparison(NamedTuple):
    """B against A."""

    ratio: float  # B over A
    low: float  # 99 % interval
    high: float
    metric: Metric
    paired: bool
    samples: tuple[int, int]

    @property
    def verdict(self) -> Verdict:
        if self.low > 1 and self.ratio - 1 >= SMALLEST:
            return "B is slower"
        if self.high < 1 and 1 - self.ratio >= SMALLEST:
            return "B is faster"
        return "no difference"

    def in_words(self) -> str:
        what = "processor time" if self.metric == "cpu" else "latency"
        how = "measured in turn" if self.paired else "measured apart"
        interval = f"99 % interval {_percent(self.low)} to {_percent(self.high)}, {how}"
        if self.verdict == "no difference":
            return f"no difference was found in {what}: B takes {_percent(self.ratio)} ({interval})."
        more = "more" if self.ratio > 1 else "less"
        return (
            f"{self.verdict}: it takes {abs(self.ratio - 1) * 100:.1f} % {more} {what} than A ({interval})."
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


def paired(a: Floats, b: Floats, metric: Metric) -> Comparison:
    """Of times (processes, frames), a[i, j] measured just before or after b[i, j].

    A was started first in every other process. Who starts first was 2 to 3 % slower on one machine, so that
    is fitted as well, and in neither the ratio nor its interval.
    Raises ValueError for other shapes, and for fewer than six processes.
    """
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"pairs need as many of both, not {a.shape} and {b.shape}")
    _check(a, b)
    differences = np.median(np.log(b / a), axis=1)
    n = len(differences)
    if n < _LEAST:
        raise ValueError(f"{n} processes of each are too few to compare; {_LEAST} or more are needed")
    first = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    design = np.column_stack([np.ones(n), first])
    fitted, *_ = np.linalg.lstsq(design, differences, rcond=None)
    variance = float(((differences - design @ fitted) ** 2).sum()) / (n - 2)
    error = math.sqrt(variance * float(np.linalg.inv(design.T @ design)[0, 0]))
    reach = student((1 + CONFIDENCE) / 2, n - 2) * error
    return _around(float(fitted[0]), reach, metric, True, (a.size, b.size))


def unpaired(a: Floats, b: Floats, metric: Metric) -> Comparison:
    """Of times (n,) and (m,), each of one process, in order. Raises ValueError for fewer than 48."""
    _check(a, b)
    first, second = _blocks(a), _blocks(b)
    parts = [(each.var(ddof=1) / _independent(each), _independent(each) - 1) for each in (first, second)]
    variance = sum(part for part, _ in parts)
    # Welch's degrees of freedom.
    freedom = variance**2 / max(1e-300, sum(part**2 / nu for part, nu in parts)) if variance else math.inf
    chance = (1 + CONFIDENCE) / 2
    within = student(chance, max(freedom, _LEAST - 1)) ** 2 * variance
    between = NormalDist().inv_cdf(chance) ** 2 * 2 * BETWEEN_PROCESSES**2
    reach = math.sqrt(within + between)
    return _around(float(second.mean() - first.mean()), reach, metric, False, (len(a), len(b)))


def student(chance: float, freedom: float) -> float:
    """Student's quantile for 4 degrees of freedom or more, to 3 %.

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


def _around(
    difference: float, reach: float, metric: Metric, paired: bool, samples: tuple[int, int]
) -> Comparison:
    ends = (math.exp(difference - reach), math.exp(difference + reach))
    return Comparison(math.exp(difference), *ends, metric, paired, samples)


def _check(*times: Floats) -> None:
    if not all((each > 0).all() for each in times):
        raise ValueError("a time of 0 was measured: the clock is too coarse for these queries")


def _blocks(times: Floats) -> Floats:
    """Logarithms of the medians of stretches of neighbours, (n,) -> (24,)."""
    if len(times) < 2 * _BLOCKS:
        raise ValueError(f"{len(times)} samples are too few to compare; {2 * _BLOCKS} or more are needed")
    return np.array([math.log(np.median(part)) for part in np.array_split(times, _BLOCKS)])


def _independent(blocks: Floats) -> float:
    """How many independent blocks these are worth, by the correlation of neighbours."""
    around = blocks - blocks.mean()
    power = float((around**2).sum())
    correlation = float((around[1:] * around[:-1]).sum()) / power if power else 0.0
    worth = len(blocks) * (1 - correlation) / (1 + correlation)
    return min(float(len(blocks)), max(float(_LEAST), worth))


def _percent(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.1f} %"
