"""Sets of images drawn again from the ones there are, for figures that are pooled over a set."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.intervals import Estimate

RESAMPLES: Final = 1000
_CHUNK: Final = 4_000_000  # numbers held at a time


def redraws(
    n: int, *, rng: np.random.Generator, size: int | None = None, resamples: int = RESAMPLES
) -> Iterator[NDArray[np.float32]]:
    """How often each of n images is in sets of `size` (else n) drawn with replacement: (sets, n) at a time.

    Multiplied with a table (n, k) of what each image brings, it gives what each set adds up to.
    """
    drawn = n if size is None else size
    at_once = max(1, _CHUNK // n)
    for start in range(0, resamples, at_once):
        sets = min(at_once, resamples - start)
        picked = rng.integers(n, size=(sets, drawn)) + n * np.arange(sets)[:, None]
        yield np.bincount(picked.ravel(), minlength=sets * n).reshape(sets, n).astype(np.float32)


def middle(value: float, redrawn: NDArray[np.float64], n: int) -> Estimate:
    """A figure measured on n images, with the middle 95 % of what it is on sets drawn again (sets,).

    The interval always holds the figure itself. Source: the percentile bootstrap of Efron and
    Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    low, high = np.quantile(redrawn, [0.025, 0.975]).tolist()
    return Estimate(value, min(low, value), max(high, value), n)
