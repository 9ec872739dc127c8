"""MixUp: the whole image shines through the whole of another."""

import torch
from torch import Tensor

from edgecam_training.mixing.blend import mix_by
from edgecam_training.mixing.mixed import Given, Mixed


def mixup(images: Tensor, labels: Tensor, given: Given, rng: torch.Generator) -> Mixed:
    """Source: MixUp, arXiv:1710.09412."""
    return mix_by(mixup_masks, images, labels, given, rng)


def mixup_masks(kept: Tensor, hw: tuple[int, int], rng: torch.Generator) -> Tensor:
    """The same weight everywhere; shares (m,) -> (m, h, w)."""
    return kept.float()[:, None, None].expand(-1, *hw)
