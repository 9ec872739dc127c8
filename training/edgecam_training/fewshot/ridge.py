"""Ridge regression onto the classes: least squares with a penalty, in closed form, left-out photos too.

W = (X'DX + l I)^-1 X'D T = X' (X X' + l D^-1)^-1 T, whichever is the smaller system, X and T less their
weighed means: that is a bias without a penalty. D weighs classes alike however many photos they have; T is 1
for the class and 0 for others. What the regression would say of a photo that it never saw follows from one
fit: with the hat matrix H, t - (t - f) / (1 - H_ii). The mean is part of the fit, so it is left out of that
too. Source: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, section 7.10.
"""

from typing import Final, NamedTuple

import numpy as np

from edgecam_training.fewshot.learned import Floats, Labels, Learned, held_out_loss, one_hot
from edgecam_training.fewshot.space import space_of

PENALTIES: Final = (0.1, 0.3, 1.0, 3.0)  # of photos whose mean distance from the mean is 1
UNJUDGED: Final = 1.0  # where no photo can be left out


class Solved(NamedTuple):
    """A fitted regression, and what it takes to say how it would be without a photo."""

    weight: Floats  # (k, d)
    bias: Floats  # (k,)
    residual: Floats  # (n, k): target less fitted, both times `root`
    free: Floats  # (n, n): 1 less the hat matrix d fitted / d target, both times `root`; symmetric
    root: Floats  # (n,): square root of each photo's weight


def balanced(labels: Labels, k: int) -> Floats:
    """Weights (n,) that sum to n, alike for every class that has photos."""
    counts = np.bincount(labels, minlength=k)
    return np.asarray(len(labels) / ((counts > 0).sum() * counts[labels]), np.float64)


def solve(x: Floats, wanted: Floats, weights: Floats, penalty: float, *, dual: bool | None = None) -> Solved:
    """Photos (n, d), targets (n, k), weights (n,). `dual` None: the smaller of the two systems."""
    n, d = x.shape
    root = np.sqrt(weights)
    share = weights / weights.sum()
    z = (x - share @ x) * root[:, None]
    t = (wanted - share @ wanted) * root[:, None]
    if n <= d if dual is None else dual:
        # As penalty * inverse, not as 1 - H: where the fit is close, that would be a difference of equals.
        free = penalty * np.linalg.inv(z @ z.T + penalty * np.eye(n))
        weight = (z.T @ (free @ t) / penalty).T
    else:
        inner = np.linalg.solve(z.T @ z + penalty * np.eye(d), z.T)
        free, weight = np.eye(n) - z @ inner, (inner @ t).T
    residual = free @ t
    free = (free + free.T) / 2 - np.outer(root, root) / weights.sum()
    return Solved(weight, share @ wanted - weight @ (share @ x), residual, free, root)


def left_out(solved: Solved, wanted: Floats) -> Floats:
    """What each photo would have been given without it in the fit, (n, k)."""
    off = solved.residual / np.diag(solved.free)[:, None]
    return np.asarray(wanted - off / solved.root[:, None])


def fit_ridge(pooled: Floats, labels: Labels, k: int, *, hold_out: bool = True) -> Learned:
    """See `learned.Fit`. The penalty is the one that left-out photos speak for."""
    length = space_of(pooled, labels).length
    wanted, weights = one_hot(labels, k), balanced(labels, k)
    fits = {penalty: solve(pooled / length, wanted, weights, penalty) for penalty in PENALTIES}
    said = {penalty: left_out(solved, wanted) for penalty, solved in fits.items()}
    losses = {penalty: held_out_loss(said[penalty], labels) for penalty in PENALTIES}
    best = min(PENALTIES, key=lambda penalty: (losses[penalty], abs(np.log(penalty / UNJUDGED))))
    chosen = fits[best]
    return Learned("ridge", f"penalty {best:g}", chosen.weight / length, chosen.bias, said[best])
