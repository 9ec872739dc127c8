"""ContextMix: ResizeMix's whole partner in boxes of CutMix's sizes."""

from typing import Final

import torch
from torch import Tensor

from edgecam_training.mixing.boxes import Boxes, outside, random_boxes
from edgecam_training.mixing.draw import kept_shares, pairing
from edgecam_training.mixing.mixed import Given, Mixed
from edgecam_training.mixing.resizemix import paste_whole

TOO_SMALL: Final = 2  # pixels: a box of such a side shows nothing, so it is left out


def contextmix(images: Tensor, labels: Tensor, given: Given, rng: torch.Generator) -> Mixed:
    """Source: ContextMix, arXiv:2401.10050. There resizing takes the nearest pixel, here it is smooth."""
    n, h, w, _ = images.shape
    partner = pairing(n, rng)
    return paste_whole(images, labels, partner, contextmix_boxes(kept_shares(n, given, rng), (h, w), rng))


def contextmix_boxes(kept: Tensor, hw: tuple[int, int], rng: torch.Generator) -> Boxes:
    """Boxes over 1 - kept (m,) of the image, or less where clipped; empty where too small to see."""
    boxes = random_boxes((1 - kept).sqrt(), hw, rng)
    seen = torch.minimum(boxes.bottom - boxes.top, boxes.right - boxes.left) > TOO_SMALL
    return boxes._replace(bottom=torch.where(seen, boxes.bottom, boxes.top))


def contextmix_masks(kept: Tensor, hw: tuple[int, int], rng: torch.Generator) -> Tensor:
    """True outside of the box, (m, h, w)."""
    return outside(contextmix_boxes(kept, hw, rng), hw)
