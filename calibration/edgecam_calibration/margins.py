"""How bad the truth may be, given what n photos showed: the one-sided 95 % bound of each of the gate's figures.

Each takes `n` apart from what was seen, to answer the second question as well: what would n photos tell
that show the same? A bound must not know too much: of thirty photos without one error it is wrong to say
that there are none. Shares take Wilson's bound; all else is weighed again with the Bayesian bootstrap and
half a photo more for either side, as in `classification/resampling.py`.
"""

from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.classification.paired import difference
from edgecam_calibration.classification.resampling import RESAMPLES
from edgecam_calibration.intervals import centred, wilson

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
