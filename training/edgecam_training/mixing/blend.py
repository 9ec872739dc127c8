"""Two images through one mask: the step that all mixes share which leave every pixel in its place."""

from collections.abc import Callable

import torch
from torch import Tensor

from edgecam_training.mixing.draw import kept_shares, pairing
from edgecam_training.mixing.mixed import Given, Mixed

# (kept (m,), (h, w), rng) -> (m, h, w), the weight of the image underneath: bool, or float in [0, 1]
MaskLaw = Callable[[Tensor, tuple[int, int], torch.Generator], Tensor]


def mix_by(law: MaskLaw, images: Tensor, labels: Tensor, given: Given, rng: torch.Generator) -> Mixed:
    """Draw partners, shares and masks; images (n, h, w, 3). The label follows the mask, not the draw."""
    n, h, w, _ = images.shape
    partner = pairing(n, rng)
    return blend(images, labels, partner, law(kept_shares(n, given, rng), (h, w), rng))


def blend(images: Tensor, labels: Tensor, partner: Tensor, masks: Tensor) -> Mixed:
    """masks * images + (1 - masks) * partners, with labels in the shares of the masks (1 or n, h, w)."""
    n, device = len(images), images.device
    share = masks.mean(dim=(1, 2), dtype=torch.float64).float().expand(n).to(device)
    partner, masks = partner.to(device), masks.to(device)
    mixed = _through(masks[..., None], images, images[partner])
    return Mixed(mixed, labels, labels[partner], share, 1 - share, masks.float())


def _through(masks: Tensor, images: Tensor, others: Tensor) -> Tensor:
    if masks.dtype == torch.bool:
        return torch.where(masks, images, others)
    return torch.lerp(others.float(), images.float(), masks.float()).round_().to(torch.uint8)
