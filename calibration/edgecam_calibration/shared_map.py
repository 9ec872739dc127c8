"""What the maps of all classes share: no answer depends on it, so it can be chosen to show the thing.

One row added to every row of the class head, and one number to every bias, adds the same to all logits. A
softmax does not see that, so every probability stays as it is, while every map gets the map of that row. A
classifier's own rows hold only what tells the classes from each other, often a part of the thing. The shared
row is fitted, without labels, to how strongly a cell responds to anything: the norm of its features, which is
high on things and low on grounds. A ridge regression makes it linear, so that mean(CAM) + b == logits stays.

That the norm over channels finds things: SCDA, arXiv:1604.04994. To take what a softmax leaves free for it is
ours; `tests/benchmarks/ablation.py` measures what it buys.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

RIDGE: Final = 0.1  # of the features' mean variance; between 0.01 and 0.1 it hardly mattered

Floats = NDArray[np.float64]


class Shared(NamedTuple):
    """To be added to each class's row and bias."""

    row: Floats  # (d,)
    bias: float  # takes the mean of the shared map away again: logits keep their size


def fit_shared(
    batches: Iterable[tuple[NDArray[np.float32], NDArray[np.int64]]], weight: Floats, strength: float
) -> Shared:
    """Fit the shared row to features (n, d, gh, gw) of photos with labels (n,), both in batches.

    `weight` is the class head's, (classes, d). Over the cells of these photos the shared map spreads
    (standard deviation) `strength` times as much as the maps of the classes that the photos show. Zeros
    where there is nothing to fit: strength 0, no photo, maps or features that are the same everywhere.
    """
    d = weight.shape[1]
    sums = np.zeros((d + 2, d + 2))  # of products of (features, norm, 1)
    own, own_squared = 0.0, 0.0
    for features, labels in batches:
        cells = features.transpose(0, 2, 3, 1).reshape(-1, d).astype(np.float64)
        norms = np.linalg.norm(cells, axis=1, keepdims=True)
        seen = np.hstack([cells, norms, np.ones_like(norms)])
        sums += seen.T @ seen
        maps = np.einsum("nd,ndhw->nhw", weight[labels], features.astype(np.float64))
        own, own_squared = own + maps.sum(), own_squared + (maps**2).sum()
    count = sums[-1, -1]
    if not count:
        return Shared(np.zeros(d), 0.0)
    means = sums[-1, :-1] / count
    covariance = sums[:-1, :-1] / count - np.outer(means, means)
    ridge = RIDGE * np.trace(covariance[:d, :d]) / d
    row = np.linalg.lstsq(covariance[:d, :d] + ridge * np.eye(d), covariance[:d, d], rcond=None)[0]
    spread = np.sqrt(max(0.0, row @ covariance[:d, :d] @ row))
    wanted = strength * np.sqrt(max(0.0, own_squared / count - (own / count) ** 2))
    row = row * (wanted / spread) if spread > 0 else np.zeros(d)
    return Shared(row, float(-row @ means[:d]))
