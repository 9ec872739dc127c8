"""Attentive CutMix: the blocks that show the partner's subject best, wherever they lie."""

from typing import Final

import torch
from torch import Tensor

from edgecam_training.mixing.blend import blend
from edgecam_training.mixing.blocks import block_masks, ranks
from edgecam_training.mixing.draw import pairing
from edgecam_training.mixing.mixed import Given, Mixed
from edgecam_training.mixing.saliency import needed, pooled

GRID: Final = 7
TAKEN: Final = 6  # blocks of the 49


def attentive_cutmix(images: Tensor, labels: Tensor, given: Given, rng: torch.Generator) -> Mixed:
    """A fixed number of blocks, so alpha has no say; labels by area.

    Source: Attentive CutMix, arXiv:2003.13048. There a second, trained network finds the blocks; here the
    network's own map of the partner's label does.
    """
    n, h, w, _ = images.shape
    partner = pairing(n, rng)
    subject = pooled(needed(given.saliency, "attentive-cutmix").cpu(), GRID)[partner]
    stays = ranks(subject.flatten(1), rng) >= TAKEN
    return blend(images, labels, partner, block_masks(stays.reshape(-1, GRID, GRID), (h, w)))
