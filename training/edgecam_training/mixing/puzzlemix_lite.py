"""PuzzleMix-lite: each block from whichever of the two images shows more of its subject there.

Lite, because it is not PuzzleMix (Kim et al., arXiv:2009.06962): no smoothness between neighbours, which
needs a graph cut for each pair, and no transport, which moves blocks. What is left has an exact answer by
sorting. Its maps are the network's own instead of input gradients, which cost a backward pass.
"""

from typing import Final

import torch
from torch import Tensor

from edgecam_training.mixing.blend import blend
from edgecam_training.mixing.blocks import block_masks, ranks
from edgecam_training.mixing.draw import kept_shares, pairing
from edgecam_training.mixing.mixed import Given, Mixed
from edgecam_training.mixing.saliency import needed, pooled

GRID: Final = 8


def puzzlemix_lite(images: Tensor, labels: Tensor, given: Given, rng: torch.Generator) -> Mixed:
    """Of the masks that keep so many blocks, the one that shows most of both subjects."""
    n, h, w, _ = images.shape
    partner = pairing(n, rng)
    kept = kept_shares(n, given, rng)
    subject = pooled(needed(given.saliency, "puzzlemix-lite").cpu(), GRID)
    chosen = best_blocks(subject, subject[partner], kept, rng)
    return blend(images, labels, partner, block_masks(chosen, (h, w)))


def best_blocks(own: Tensor, other: Tensor, kept: Tensor, rng: torch.Generator) -> Tensor:
    """Keep the blocks where `own` exceeds `other` most, a share `kept` (n or 1,) of all.

    Maximises sum(own[kept]) + sum(other[not kept]) for that number; (n, grid, grid) -> bool of that shape.
    """
    count = (kept * own[0].numel()).round()
    return (ranks((own - other).flatten(1), rng) < count[:, None]).reshape(own.shape)
