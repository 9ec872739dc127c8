"""How bad the truth may be after what n photos showed: a one-sided 95 % bound for each of the gate's figures.

Each takes `n` apart from what was seen, to answer the second question as well: what would n photos tell
that show the same? A bound must not know too much: of thirty photos without one error it is wrong to say
that there are none. Shares take Wilson's bound; all else is weighed again with the Bayesian bootstrap and
half a photo more for either side, as in `classification/resampling.py`.
"""

from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.classification.paired import compare, difference
from edgecam_calibration.classification.reliability import ECE_BINS, answers, equal_width
from edgecam_calibration.classification.resampling import RESAMPLES
from edgecam_calibration.intervals import Estimate, centred, wilson

CONFIDENCE: Final = 0.95  # one-sided
_BOTH_SIDES: Final = 2 * CONFIDENCE - 1  # the two-sided interval with this end
_Z: Final = NormalDist().inv_cdf(CONFIDENCE)

Floats = NDArray[np.float64]


def least_share(share: float, n: float) -> float:
    """The least that the true share may be where `share` of n photos are hits."""
    return float(wilson(min(share, 1.0) * n, n, confidence=_BOTH_SIDES)[0])


def most_lost(lost: float, gained: float, n: float) -> float:
    """The most by which B may be right less often than A, where these shares of n photos changed sides."""
    rng = np.random.default_rng(0)
    return difference(lost * n, gained * n, n, rng=rng, confidence=_BOTH_SIDES).high


def least_mean(values: Floats, n: float) -> float:
    """The least that the true mean of numbers in [0, 1] may be, of which (k,) are a sample."""
    rng = np.random.default_rng(0)
    weights = rng.standard_gamma(n / len(values), size=(RESAMPLES, len(values)))
    low, high = rng.standard_gamma(0.5, size=(2, RESAMPLES))
    means = (weights @ values + high) / (weights.sum(axis=1) + low + high)
    return centred(float(values.mean()), means, len(values), confidence=_BOTH_SIDES).low


def least_quantile(values: Floats, level: float, n: float) -> float:
    """The least that the true quantile may be: a value that occurred, or 0 where n photos are too few.

    A share `level` of all photos may lie below the truth, so of n photos hardly fewer than the share taken
    here do. Needs 25 photos for the 10th percentile. Source: the score test of a share, inverted.
    """
    share = level - _Z * float(np.sqrt(level * (1 - level) / n))
    # A hair is added, since the product of a share and a count may come out just below a whole number.
    return float(np.sort(values)[int(share * len(values) + 1e-9)]) if share >= 0 else 0.0


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
