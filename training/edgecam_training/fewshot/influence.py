"""Which photos pull wrongly: those without which the others would be named better.

Asked of the ridge regression, whatever head ships: there the answer is exact. With a photo i left out, taking
j out as well changes what is said of i by a 2 x 2 system of the hat matrix and the residuals (Cook and
Weisberg, Residuals and Influence in Regression, 1982). A photo under a wrong name stands out twice: others
are better without it, and left out it is called something else itself.
"""

from typing import NamedTuple

import numpy as np

from edgecam_training.fewshot.learned import Floats, Labels, judged, one_hot
from edgecam_training.fewshot.ridge import UNJUDGED, balanced, left_out, solve
from edgecam_training.fewshot.space import space_of


class Pull(NamedTuple):
    """What one photo does to the others."""

    photo: int  # its index
    harm: float  # mean squared error of the others, less what it would be without this photo
    called: int  # the class it is given when it is left out
    suspicious: bool  # it harms, stands out from the others in that, and is called otherwise


def pulls(pooled: Floats, labels: Labels, k: int) -> list[Pull]:
    """Every photo, the most harmful first; n photos take n^2 k numbers."""
    length = space_of(pooled, labels).length
    wanted = one_hot(labels, k)
    solved = solve(pooled / length, wanted, balanced(labels, k), UNJUDGED)
    called = left_out(solved, wanted).argmax(axis=1)
    harm = harms(solved.residual, solved.free)
    usual = np.median(np.abs(harm))
    odd = (harm > 4 * usual) & (called != labels) & judged(labels)
    order = np.argsort(-harm, kind="stable")
    return [Pull(int(j), float(harm[j]), int(called[j]), bool(odd[j])) for j in order]


def harms(residual: Floats, free: Floats) -> Floats:
    """For each photo j: mean over i of |e_i without i|^2 - |e_i without i and j|^2, (n,); weighed."""
    n, own = len(free), np.diag(free)
    alone = residual / own[:, None]
    determinant = own[:, None] * own[None, :] - free**2  # (n, n) of i and j
    np.fill_diagonal(determinant, 1)
    both = own[None, :, None] * residual[:, None] - free[:, :, None] * residual[None]
    both = both / determinant[..., None]
    gain = (alone**2).sum(axis=1)[:, None] - (both**2).sum(axis=2)  # (i, j)
    np.fill_diagonal(gain, 0)
    return np.asarray(gain.sum(axis=0) / max(n - 1, 1))
