"""ResizeMix: the whole partner, small, on top of each image."""

from typing import Final

import torch
from torch import Tensor

from edgecam_training.mixing.boxes import Boxes, outside, random_boxes
from edgecam_training.mixing.draw import pairing
from edgecam_training.mixing.mixed import Given, Mixed
from edgecam_training.mixing.paste import paste

SIDES: Final = (0.1, 0.8)  # shortest and longest side of the box, as a share of the image's


def resizemix(images: Tensor, labels: Tensor, given: Given, rng: torch.Generator) -> Mixed:
    """Its own size law, so alpha has no say.

    Source: ResizeMix, arXiv:2012.11101. The partner is fitted to the clipped box, so all of it is seen.
    """
    n, h, w, _ = images.shape
    partner = pairing(n, rng)
    boxes = resizemix_boxes(n if given.per_sample else 1, (h, w), rng)
    return paste_whole(images, labels, partner, boxes)


def resizemix_boxes(count: int, hw: tuple[int, int], rng: torch.Generator) -> Boxes:
    """Boxes whose side is uniform between SIDES."""
    low, high = SIDES
    return random_boxes(low + (high - low) * torch.rand(count, dtype=torch.float64, generator=rng), hw, rng)


def resizemix_masks(kept: Tensor, hw: tuple[int, int], rng: torch.Generator) -> Tensor:
    """True outside of a box, (m, h, w); only the number of shares (m,) counts."""
    return outside(resizemix_boxes(len(kept), hw, rng), hw)


def paste_whole(images: Tensor, labels: Tensor, partner: Tensor, boxes: Boxes) -> Mixed:
    """The whole partner fitted into each box, labels by area."""
    pasted, masks = paste(images, partner, boxes)
    share = masks.float().mean(dim=(1, 2)).to(images.device)
    second = labels[partner.to(labels.device)]
    return Mixed(pasted, labels, second, share, 1 - share, masks.float().to(images.device))
