"""Losses: pure and unreduced where there is a batch; the caller takes the mean."""

import torch.nn.functional as F
from torch import Tensor

from edgecam_training.mixing.mixed import Mixed


def mixed_cross_entropy(logits: Tensor, mixed: Mixed, *, smoothing: float) -> Tensor:
    """Cross-entropy against two labels at once; (n, classes) -> (n,), in nats."""
    first = F.cross_entropy(logits, mixed.first, reduction="none", label_smoothing=smoothing)
    second = F.cross_entropy(logits, mixed.second, reduction="none", label_smoothing=smoothing)
    return mixed.first_share * first + (1 - mixed.first_share) * second
