"""The space that heads are fitted in: features less their mean, each scaled to length 1.

In it the angle to a class counts, not how strongly a photo excites the network, which differs from photo to
photo and says nothing of the class. Source: SimpleShot's CL2N, arXiv:1911.04623.

Scaling each photo is not linear, but classifiers without an intercept do not notice it: all of a photo's
logits are scaled alike, so its label stays. So what was fitted here is deployed as an ordinary linear head,
with the one mean length of the photos that taught in place of each photo's own: the same labels, maps that
are exact, and confidences that are calibrated for what is deployed.

A photo that is left out must be left out of the mean as well: centred features sum to zero, so the others
would give it away.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Space(NamedTuple):
    """Where features are seen from, and how far away they usually are."""

    mean: Floats  # (d,)
    length: float  # mean distance to it, above 0

    def unit(self, pooled: NDArray[np.floating]) -> Floats:
        """(n, d) -> rows of length 1; a photo at the mean itself stays 0."""
        return unit_rows(pooled - self.mean)

    def stretch(self, pooled: NDArray[np.floating]) -> Floats:
        """What a deployed head's logits are times those fitted here, (n, d) -> (n, 1)."""
        return np.asarray(np.linalg.norm(pooled - self.mean, axis=1, keepdims=True) / self.length)

    def fold(self, weight: Floats) -> tuple[Floats, Floats]:
        """Rows (k, d) over unit features as rows and biases over pooled ones."""
        rows = weight / self.length
        return rows, -rows @ self.mean


def space_of(pooled: NDArray[np.floating], labels: NDArray[np.int64]) -> Space:
    """From photos (n, d) with labels (n,): the mean of the classes' means, so that many photos of one class
    do not pull it."""
    means = [pooled[labels == c].mean(axis=0, dtype=np.float64) for c in np.unique(labels)]
    mean = np.mean(means, axis=0)
    length = float(np.linalg.norm(pooled - mean, axis=1).mean())
    return Space(mean, length if length > 0 else 1.0)


def unit_rows(rows: NDArray[np.floating]) -> Floats:
    """Rows along the last axis, scaled to length 1; zeros stay."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1), np.float64)
