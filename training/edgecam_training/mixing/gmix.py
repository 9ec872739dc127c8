"""GMix: the smaller part is a soft, round spot."""

import math

import torch
from torch import Tensor

from edgecam_training.mixing.blend import mix_by
from edgecam_training.mixing.mixed import Given, Mixed


def gmix(images: Tensor, labels: Tensor, given: Given, rng: torch.Generator) -> Mixed:
    """Source: Park et al., arXiv:2208.09913."""
    return mix_by(gmix_masks, images, labels, given, rng)


def gmix_masks(kept: Tensor, hw: tuple[int, int], rng: torch.Generator) -> Tensor:
    """A Gaussian of area `kept`, or one minus a Gaussian of area 1 - kept, whichever is smaller; (m, h, w).

    Where the image ends it cuts the tail off, so the share is the mean of the mask, not the draw.
    """
    small = torch.minimum(kept, 1 - kept)
    spot = _spots(small, hw, rng)
    return torch.where((kept < 0.5)[:, None, None], spot, 1 - spot).float()


def _spots(area: Tensor, hw: tuple[int, int], rng: torch.Generator) -> Tensor:
    """exp(-pi d^2 / (area h w)) about a random pixel, whose integral is area * h * w; none for area 0."""
    h, w = hw
    axes = []
    for size in hw:
        centre = torch.randint(size, area.shape, generator=rng)
        square = (torch.arange(size) - centre[:, None]) ** 2
        axes.append(torch.exp(-math.pi * square / (area * h * w).clamp(min=1e-6)[:, None]))
    rows, columns = axes  # a Gaussian is the product of its axes
    return rows[:, :, None] * columns[:, None, :] * (area > 0)[:, None, None]
