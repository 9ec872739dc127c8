"""How bad the truth may be after what n photos showed: a one-sided 95 % bound for each of the gate's figures.

Each takes `n` apart from what was seen, to answer a second question as well: what would n photos tell that
show the same? Photos are weighed again (Dirichlet weights, as in `classification/resampling.py`) with one
more among them, the worst that there could be. So nobody proves from thirty photos without one error that
there are none: of n without one, as many as 1 - 0.05 ** (1 / n) of all may be wrong, about 3 / n. For shares
this is exactly Clopper and Pearson's bound (Biometrika 26 (1934), 404-413), for means of numbers in [0, 1]
Gaffke's (Mathematical Methods of Statistics 14 (2005), 451-467). A gate that may be wrong once in twenty
times needs bounds of this kind: Wilson's are wrong up to 7 times in 100 just there, at shares near 1.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.classification.paired import compare
from edgecam_calibration.classification.reliability import ECE_BINS, answers, equal_width
from edgecam_calibration.classification.resampling import RESAMPLES
from edgecam_calibration.intervals import Estimate, centred

CONFIDENCE: Final = 0.95  # one-sided
_BOTH_SIDES: Final = 2 * CONFIDENCE - 1  # the two-sided interval with this end
_DRAWS: Final = 100_000
_GRID: Final = 20_001

Floats = NDArray[np.float64]


def least_share(share: float, n: float) -> float:
    """The least that the true share may be where `share` of n photos are hits."""
    return _beta_quantile(share * n, n - share * n + 1, 1 - CONFIDENCE)


def most_lost(lost: float, gained: float, n: float) -> float:
    """The most by which B may be right less often than A, where these shares of n photos changed sides."""
    if gained == 0:
        return 1 - least_share(1 - lost, n)
    rng = np.random.default_rng(0)
    b, c, same = (
        rng.standard_gamma(shape, _DRAWS) for shape in (lost * n + 1, gained * n, (1 - lost - gained) * n)
    )
    return float(np.quantile((b - c) / (b + c + same), CONFIDENCE))


def least_mean(values: Floats, n: float) -> float:
    """The least that the true mean of numbers in [0, 1] may be, of which (k,) are a sample."""
    rng = np.random.default_rng(0)
    weights = rng.standard_gamma(n / len(values), size=(RESAMPLES, len(values)))
    means = (weights @ values) / (weights.sum(axis=1) + rng.standard_gamma(1.0, size=RESAMPLES))
    return float(np.quantile(means, 1 - CONFIDENCE))


def least_quantile(values: Floats, level: float, n: float) -> float:
    """The least that the true quantile may be: a value that occurred, or 0 where n photos are too few.

    At most `m` of n photos lie at or below the truth only once in twenty times, so the (m + 1)th smallest
    value is the bound. Of the 10th percentile 29 photos are the fewest that tell anything.
    """
    m = _most_below(round(n), level)
    # A hair is added, since the product of a share and a count may come out just below a whole number.
    return 0.0 if m < 0 else float(np.sort(values)[int(m / n * len(values) + 1e-9)])


def _beta_quantile(a: float, b: float, level: float) -> float:
    """The quantile of Beta(a, b), to about six digits; b is at least 1."""
    if a <= 0:
        return 0.0
    if b <= 1:
        return float(level ** (1 / a))
    mean = a / (a + b)
    reach = 12 * float(np.sqrt(mean * (1 - mean) / (a + b + 1)))
    ends = np.linspace(max(0.0, mean - reach), min(1.0, mean + reach), _GRID)
    x = (ends[1:] + ends[:-1]) / 2  # never 0 or 1, where a logarithm is infinite
    log_density = (a - 1) * np.log(x) + (b - 1) * np.log1p(-x)
    below = np.concatenate([[0.0], np.cumsum(np.exp(log_density - log_density.max()))])
    return float(np.interp(level, below / below[-1], ends))


def _most_below(n: int, level: float) -> int:
    """The largest m with P(Binomial(n, level) <= m) at most 5 %; -1 where there is none."""
    k = np.arange(1, int(n * level) + 1)
    steps = np.log((n - k + 1) / k) + np.log(level / (1 - level))
    chances = np.exp(np.concatenate([[0.0], np.cumsum(steps)]) + n * np.log1p(-level))
    return int(np.searchsorted(np.cumsum(chances), 1 - CONFIDENCE, side="right")) - 1


def most_f1_lost(
    labels: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    classes: int,
    n: float,
) -> float:
    """The most by which the second engine's macro F1 may be below the first's; calls are (k,) each."""
    rng, size = np.random.default_rng(0), round(n)
    truth, before, after = (np.resize(each, size) for each in (labels, first, second))
    found = compare(truth, before, after, classes, rng=rng, confidence=_BOTH_SIDES)
    return found.macro_f1_difference.high


class Gaps(NamedTuple):
    """What one engine's calibration error is made of."""

    placed: NDArray[np.int64]  # (k,) bin of each answer
    gap: Floats  # (k,) right (0 or 1) less confidence

    @property
    def error(self) -> float:
        """Expected calibration error."""
        return float(self.errors(np.ones((1, len(self.gap))))[0]) / len(self.gap)

    def errors(self, weights: Floats) -> Floats:
        """|Sums| over the bins of weighed answers, not yet divided by the weight: (sets, k) -> (sets,)."""
        bins = np.zeros((len(self.gap), ECE_BINS))
        bins[np.arange(len(self.gap)), self.placed] = self.gap
        return np.asarray(np.abs(weights @ bins).sum(axis=1), dtype=np.float64)


def gaps(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Gaps:
    """Of answers (k, classes) to labels (k,), in 15 bins of equal width."""
    confidence, right = answers(labels, probabilities)
    return Gaps(equal_width(confidence, ECE_BINS).placed, right - confidence)


def error_rise(before: Gaps, after: Gaps, n: float, *, confidence: float = _BOTH_SIDES) -> Estimate:
    """By how much the calibration error rose on the same photos, with the interval that n of them give."""
    rng, k = np.random.default_rng(0), len(before.gap)
    weights = rng.standard_gamma(n / k, size=(RESAMPLES, k))
    rose, fell = rng.standard_gamma(0.5, size=(2, RESAMPLES))
    moved = after.errors(weights) - before.errors(weights) + rose - fell
    value = after.error - before.error
    total = weights.sum(axis=1) + rose + fell
    return centred(value, moved / total, k, least=-1.0, confidence=confidence)
