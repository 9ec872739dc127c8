"""L1 and L2 as terms of the loss. AdamW's weight decay is a third thing, and no term of any loss.

- l1: + l1 * sum |w|. Its gradient has the same size for every weight, so small ones are driven to zero.
- l2: + l2 * sum w^2. Its gradient, 2 l2 w, goes through Adam, which divides it by the weight's usual
  gradient: weights that the photos pull at hard are held back least.
- weight decay: w <- w - lr * decay * w beside Adam's step, in the same proportion for every weight.
  For plain SGD it equals l2 with decay = 2 l2; for AdamW nothing does. Source: arXiv:1711.05101.
"""

import torch
from torch import Tensor, nn

MULTIPLYING = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def penalized_weights(model: nn.Module) -> list[nn.Parameter]:
    """What L1, L2 and weight decay act on: weights that multiply and add up, so no bias, gain or scale."""
    return [m.weight for m in model.modules() if isinstance(m, MULTIPLYING) and m.weight.requires_grad]


def l1_penalty(weights: list[nn.Parameter]) -> Tensor:
    """sum |w|, a scalar; its gradient is the sign of w."""
    return torch.stack([w.abs().sum() for w in weights]).sum()


def l2_penalty(weights: list[nn.Parameter]) -> Tensor:
    """sum w^2, a scalar; its gradient is 2 w."""
    return torch.stack([w.square().sum() for w in weights]).sum()
