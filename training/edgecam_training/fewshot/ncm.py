"""The nearest class mean: each class is the direction of the mean of its photos.

Needs one photo a class and nothing to choose. Source: SimpleShot, arXiv:1911.04623; there means keep their
length and distances are compared, here means have length 1, which makes the classifier linear.
"""

import numpy as np

from edgecam_training.fewshot.learned import Floats, Labels, Learned, folds_of, one_hot
from edgecam_training.fewshot.space import space_of, unit_rows


def fit_ncm(pooled: Floats, labels: Labels, k: int, *, hold_out: bool = True) -> Learned:
    """See `learned.Fit`."""
    space, fold = space_of(pooled, labels), folds_of(labels)
    held_out = np.zeros((len(pooled), k))
    for each in np.unique(fold) if hold_out else ():
        out, rest = fold == each, fold != each
        near = space_of(pooled[rest], labels[rest])
        means = means_of(near.unit(pooled[rest]), labels[rest], k)
        held_out[out] = near.unit(pooled[out]) @ means.T * space.stretch(pooled[out])
    return Learned("ncm", "", *space.fold(means_of(space.unit(pooled), labels, k)), held_out)


def means_of(x: Floats, labels: Labels, k: int) -> Floats:
    """Directions of the classes' means, (n, d) -> (k, d); zeros for a class without photos."""
    return unit_rows(one_hot(labels, k).T @ x)
