"""CutMix: a box of each image is replaced by the same box of a partner."""

import torch
from torch import Tensor

from edgecam_training.mixing.blend import mix_by
from edgecam_training.mixing.boxes import outside, random_boxes
from edgecam_training.mixing.mixed import Given, Mixed


def cutmix(images: Tensor, labels: Tensor, given: Given, rng: torch.Generator) -> Mixed:
    """Source: CutMix, arXiv:1905.04899. The label share comes from the clipped box, not from the draw."""
    return mix_by(cutmix_masks, images, labels, given, rng)


def cutmix_masks(kept: Tensor, hw: tuple[int, int], rng: torch.Generator) -> Tensor:
    """True outside of a box that covers 1 - kept (m,) of the image, or less where clipped; (m, h, w)."""
    return outside(random_boxes((1 - kept).sqrt(), hw, rng), hw)
