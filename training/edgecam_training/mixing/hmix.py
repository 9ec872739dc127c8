"""HMix: a box of the partner as in CutMix, and the partner shining through around it as in MixUp."""

from typing import Final

import torch
from torch import Tensor

from edgecam_training.mixing.blend import mix_by
from edgecam_training.mixing.boxes import outside, random_boxes
from edgecam_training.mixing.mixed import Given, Mixed

BOXED: Final = 0.5  # share of what is replaced that the box is to hold: 0 is MixUp, 1 CutMix


def hmix(images: Tensor, labels: Tensor, given: Given, rng: torch.Generator) -> Mixed:
    """Source: Park et al., arXiv:2208.09913."""
    return mix_by(hmix_masks, images, labels, given, rng)


def hmix_masks(kept: Tensor, hw: tuple[int, int], rng: torch.Generator, *, boxed: float = BOXED) -> Tensor:
    """0 in the box and one weight around it, chosen so that the mean is `kept` (m,) exactly; (m, h, w)."""
    boxes = random_boxes(((1 - kept) * boxed).sqrt(), hw, rng)
    around = 1 - boxes.area / (hw[0] * hw[1])
    weight = torch.where(around > 0, kept / around.clamp(min=1e-12), 0.0)
    return outside(boxes, hw) * weight.float()[:, None, None]
