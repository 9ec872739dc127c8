"""SnapMix: a box of the partner in a box of each image, labels by how much of the subject each holds."""

import torch
from torch import Tensor

from edgecam_training.mixing.boxes import Boxes, outside, random_boxes
from edgecam_training.mixing.draw import kept_shares, pairing
from edgecam_training.mixing.mixed import Given, Mixed
from edgecam_training.mixing.paste import paste
from edgecam_training.mixing.saliency import needed, spread


def snapmix(images: Tensor, labels: Tensor, given: Given, rng: torch.Generator) -> Mixed:
    """The two weights are measured apart and need not sum to one; for two images of one class both are
    their sum, as in the authors' code.

    Source: SnapMix, arXiv:2012.04846, with alpha 5.
    """
    n, h, w, _ = images.shape
    partner = pairing(n, rng)
    into, crop = (snapmix_boxes(kept_shares(n, given, rng), (h, w), rng) for _ in range(2))
    pasted, masks = paste(images, partner, into, crop)
    subject = spread(needed(given.saliency, "snapmix").cpu(), (h, w))
    own = 1 - inside(subject, into)
    other = inside(subject[partner], crop)
    alone = partner == torch.arange(n)  # nothing was pasted
    own, other = torch.where(alone, 1.0, own), torch.where(alone, 0.0, other)
    second = labels[partner.to(labels.device)]
    alike = (labels == second).cpu() & ~alone
    both = own + other
    shares = [torch.where(alike, both, share).float().to(images.device) for share in (own, other)]
    return Mixed(pasted, labels, second, shares[0], shares[1], masks.float().to(images.device))


def snapmix_boxes(kept: Tensor, hw: tuple[int, int], rng: torch.Generator) -> Boxes:
    """CutMix's boxes, of at least a pixel, since something must be cut out and put somewhere."""
    return random_boxes((1 - kept).sqrt(), hw, rng, least=1)


def snapmix_masks(kept: Tensor, hw: tuple[int, int], rng: torch.Generator) -> Tensor:
    """True outside of the box that is pasted into, (m, h, w)."""
    return outside(snapmix_boxes(kept, hw, rng), hw)


def inside(subject: Tensor, boxes: Boxes) -> Tensor:
    """How much of each map (n, h, w) lies in its box (or the batch's), (n,)."""
    _, h, w = subject.shape
    return (subject * ~outside(boxes, (h, w))).sum(dim=(1, 2))
