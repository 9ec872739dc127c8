"""Cutout: a box of each image is blanked; the label stays."""

from typing import Final

import torch
from torch import Tensor

from edgecam_training.mixing.boxes import outside, random_boxes
from edgecam_training.mixing.mixed import Given, Mixed, unmixed

SIDE: Final = 0.5  # of the image's: 16 of 32 pixels in the paper's CIFAR-10, 112 of 224 in CutMix's ImageNet


def cutout(images: Tensor, labels: Tensor, given: Given, rng: torch.Generator) -> Mixed:
    """Fill the box with `given.fill`, which is zero after normalisation, or within half a grey level of it.

    Source: Cutout, arXiv:1708.04552.
    """
    n, h, w, _ = images.shape
    masks = cutout_masks(torch.zeros(n if given.per_sample else 1), (h, w), rng).to(images.device)
    blanked = torch.where(masks[..., None], images, given.fill.to(images.device))
    return unmixed(blanked, labels)._replace(mask=masks.float())


def cutout_masks(kept: Tensor, hw: tuple[int, int], rng: torch.Generator) -> Tensor:
    """True outside of a box of a fixed size, clipped to the image; only the number of shares counts."""
    return outside(random_boxes(torch.full(kept.shape, SIDE), hw, rng), hw)
