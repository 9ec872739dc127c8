"""SEAM's losses on the maps of two branches: equivariance, cross and adaptive min-pooling; each (n,).

Source: Wang et al., arXiv:2004.04581. Maps are (n, channels, cells): the cells that both branches see.
"""

import torch.nn.functional as F
from torch import Tensor

from edgecam_training.seam.maps import hardened

HARDEST = 0.2  # of all entries, channels times cells, as published


def equivariance_loss(one: Tensor, other: Tensor, present: Tensor) -> Tensor:
    """ER: mean absolute difference over cells and the classes present.

    (n, k, cells) twice and (n, k) -> (n,). Published is the mean over all classes, where those that are
    absent add nothing but a smaller weight.
    """
    difference = (one - other).abs().mean(dim=2) * present
    return difference.sum(dim=1) / present.sum(dim=1).clamp_min(1)


def cross_loss(
    targets: tuple[Tensor, Tensor], learners: tuple[Tensor, Tensor], *, hardest: float = HARDEST
) -> Tensor:
    """ECR: each branch's maps against the other branch's hardened ones, over the hardest entries.

    Two branches of targets and of maps that learn, each (n, 1 + k, cells) -> (n,). Online hard-example
    mining: of a picture's (1 + k) * cells errors, only the largest share `hardest` counts.
    """
    one = _hardest_mean((hardened(targets[1]) - learners[0]).abs(), hardest)
    other = _hardest_mean((hardened(targets[0]) - learners[1]).abs(), hardest)
    return one + other


def _hardest_mean(errors: Tensor, share: float) -> Tensor:
    flat = errors.flatten(1)
    return flat.topk(max(1, int(share * flat.shape[1])), dim=1).values.mean(dim=1)


def min_pooling_loss(maps: Tensor) -> Tensor:
    """Adaptive min-pooling (L_rvmin): a quarter of every picture belongs to no class.

    The strongest class of each cell, and of that the mean over the weakest quarter of the cells, which
    the loss pulls to zero. (n, k, cells), classes without background -> (n,).
    """
    strongest = maps.amax(dim=1)
    quarter = max(1, strongest.shape[1] // 4)
    return F.relu(strongest.topk(quarter, dim=1, largest=False).values).mean(dim=1)
