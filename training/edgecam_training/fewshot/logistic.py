"""Multinomial logistic regression on unit features, without an intercept."""

from typing import Final

import numpy as np

from edgecam_training.fewshot import softmax
from edgecam_training.fewshot.learned import Floats, Labels, Learned, folds_of, one_hot
from edgecam_training.fewshot.space import space_of

# Fixed, since leaving photos out would choose among differences smaller than it can see. Measured on 13
# classes, top-1 in % at 2, 5, 10 and 20 shots, INT8 features, mean of 5 draws: C 1 54.5 69.4 80.3 85.7,
# C 10 57.7 72.1 82.3 88.8, C 30 57.4 73.3 82.6 89.0, C 100 57.3 73.1 83.2 88.8. FP32 says the same.
C: Final = 30.0
_TOLERANCE: Final = 1e-3  # of a gradient: a logit moves by a hundredth


def fit_logistic(pooled: Floats, labels: Labels, k: int, *, hold_out: bool = True) -> Learned:
    """See `learned.Fit`. The fits that leave photos out run side by side, each in a space of its own."""
    fold = folds_of(labels) if hold_out else np.zeros_like(labels)
    folds = range(int(fold.max()) + 1) if hold_out else ()
    used = np.stack([fold != each for each in folds] + [np.ones_like(fold, np.bool_)])
    spaces = [space_of(pooled[seen], labels[seen]) for seen in used]
    bases = [softmax.basis_of(space.unit(pooled)) for space in spaces]
    stacked = softmax.stack(bases)
    found = softmax.fit(stacked, one_hot(labels, k), c=C, used=used, tolerance=_TOLERANCE)
    own = stacked.coordinates[fold, np.arange(len(fold))]  # (n, r): each photo in its fold's space
    held_out = np.einsum("nr,nrk->nk", own, found[fold]) * spaces[-1].stretch(pooled)
    weight = bases[-1].directions.T @ found[-1][: len(bases[-1].directions)]
    return Learned("logistic", f"C {C:g}", *spaces[-1].fold(weight.T), held_out)
