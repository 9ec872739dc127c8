"""Losses: pure and unreduced where there is a batch; the caller takes the mean."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecam_training.mixing.mixed import Mixed


def mixed_cross_entropy(logits: Tensor, mixed: Mixed, *, smoothing: float) -> Tensor:
    """Cross-entropy against two labels at once, each with its weight; (n, classes) -> (n,), in nats."""
    first = F.cross_entropy(logits, mixed.first, reduction="none", label_smoothing=smoothing)
    second = F.cross_entropy(logits, mixed.second, reduction="none", label_smoothing=smoothing)
    return mixed.first_share * first + mixed.second_share * second


def penalized_weights(model: nn.Module) -> list[nn.Parameter]:
    """What L1, L2 and weight decay act on: weights of two dimensions or more, so no bias and no gain."""
    return [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]


def l1_penalty(weights: list[nn.Parameter]) -> Tensor:
    """sum |w|, a scalar."""
    return torch.stack([w.abs().sum() for w in weights]).sum()


def l2_penalty(weights: list[nn.Parameter]) -> Tensor:
    """sum w^2, a scalar; its gradient is 2 w."""
    return torch.stack([w.square().sum() for w in weights]).sum()
