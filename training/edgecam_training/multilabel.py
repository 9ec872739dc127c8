"""Pictures that hold several classes: label sets (n, k) in {0, 1} instead of one label each.

A single label is a set of one and a mixed picture one of two, so whatever looks at maps takes sets.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def class_shares(
    first: Tensor, second: Tensor, first_share: Tensor, second_share: Tensor, classes: int
) -> Tensor:
    """How much of each class two labels (n,) with their shares (n,) leave, (n, classes)."""
    shares = torch.zeros(len(first), classes, device=first.device)
    shares.scatter_add_(1, first[:, None], first_share.to(shares)[:, None])
    return shares.scatter_add_(1, second[:, None], second_share.to(shares)[:, None])


def mixed_sets(first: Tensor, second: Tensor, first_share: Tensor, second_share: Tensor) -> Tensor:
    """The soft target of two mixed pictures with label sets (n, k) and shares (n,), (n, k)."""
    return first_share[:, None] * first + second_share[:, None] * second


def union(first: Tensor, second: Tensor) -> Tensor:
    """The classes whose maps a mixed picture may show: those of either, (n, k) in {0, 1}."""
    return torch.maximum(first, second)


def soft_margin_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of each class by itself, mean over the classes; (n, k) -> (n,), in nats.

    Targets are label sets, or soft ones within [0, 1]. Known as the multi-label soft margin loss.
    """
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)
