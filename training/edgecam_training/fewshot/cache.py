"""A head that remembers its photos: class means, and beside them how alike the photos of each class are.

z_k = s x.mean_k + a mean over photos j of k of exp(-b (1 - x.x_j)). At a = 0 it is the nearest class mean;
with a large b the nearest photo alone counts. Source: Tip-Adapter, arXiv:2111.03930; there a sum over photos
stands in place of the mean, and a text encoder's head in place of class means.
It is not linear, so a map shows what the means say, and is an approximation.
"""

from itertools import product
from typing import Final

import numpy as np

from edgecam_training.fewshot.learned import Floats, Keys, Labels, Learned, folds_of, held_out_loss, one_hot
from edgecam_training.fewshot.ncm import means_of
from edgecam_training.fewshot.space import space_of

SCALE: Final = 10.0  # of the means' cosine, so that a softmax of it says something
WEIGHTS: Final = (2.0, 5.0, 10.0, 20.0)
SHARPNESS: Final = (1.0, 3.0, 10.0)


def fit_cache(pooled: Floats, labels: Labels, k: int, *, hold_out: bool = True) -> Learned:
    """See `learned.Fit`. Weight and sharpness are those that left-out photos speak for."""
    space, fold = space_of(pooled, labels), folds_of(labels)
    said = {pair: np.zeros((len(pooled), k)) for pair in product(WEIGHTS, SHARPNESS)}
    for each in np.unique(fold) if hold_out else ():
        out, rest = fold == each, fold != each
        means, keys = _remembered(pooled[rest], labels[rest], k)
        x, stretch = keys.space.unit(pooled[out]), space.stretch(pooled[out])
        for (weight, sharpness), logits in said.items():
            more = add_keys(keys._replace(weight=weight, sharpness=sharpness), x)
            logits[out] = (x @ means.T + more) * stretch
    best = min(said, key=lambda pair: held_out_loss(said[pair], labels))
    means, keys = _remembered(pooled, labels, k)
    keys = keys._replace(weight=best[0], sharpness=best[1])
    setting = f"weight {best[0]:g}, sharpness {best[1]:g}"
    return Learned("cache", setting, *space.fold(means), said[best], keys)


def _remembered(pooled: Floats, labels: Labels, k: int) -> tuple[Floats, Keys]:
    """Means (k, d), and the photos with a weight and a sharpness of 1."""
    space = space_of(pooled, labels)
    x, member = space.unit(pooled), one_hot(labels, k)
    values = member / np.maximum(member.sum(axis=0), 1)
    return SCALE * means_of(x, labels, k), Keys(space, x, values, 1.0, 1.0)


def add_keys(keys: Keys, x: Floats) -> Floats:
    """What the remembered photos add to the logits of unit rows (n, d): (n, k)."""
    near = np.exp(-keys.sharpness * (1 - x @ keys.rows.T))
    return np.asarray(keys.weight * near @ keys.values)
