"""Where each image shows its label, for the mixes that ask: the network's own maps."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecam_training.model import Model


@torch.no_grad()
def true_class_maps(model: Model, frames: Tensor, labels: Tensor) -> Tensor:
    """The class activation map of each image's label by the network as it is now, (n, gh, gw).

    One forward pass, about a third of a training step; it leaves no mark on the network.
    """
    with judging(model):
        cams = model.cams(model(frames))  # (n, classes, gh, gw)
    return cams[torch.arange(len(labels), device=cams.device), labels].float()


@contextmanager
def judging(net: nn.Module) -> Iterator[None]:
    """Inside, the network answers as in use; then every part is back in the mode that it was in.

    Parts differ: what is frozen keeps its statistics while the rest trains.
    """
    before = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def needed(saliency: Tensor | None, mix: str) -> Tensor:
    """The maps, or a ValueError that says who wants them."""
    if saliency is None:
        raise ValueError(f"{mix} needs maps (n, gh, gw) of where each image shows its label")
    return saliency


def spread(maps: Tensor, hw: tuple[int, int]) -> Tensor:
    """Maps (n, gh, gw) as distributions over pixels: each (h, w), not negative, with sum 1.

    A map that is the same everywhere, or not finite, says nothing and gives the uniform distribution.
    """
    fine = F.interpolate(maps[:, None].double(), size=hw, mode="bilinear", align_corners=False)[:, 0]
    return distributed(fine)


def pooled(maps: Tensor, grid: int) -> Tensor:
    """The same over grid x grid blocks, (n, grid, grid)."""
    return distributed(F.adaptive_avg_pool2d(maps.double(), grid))


def distributed(maps: Tensor) -> Tensor:
    """(n, h, w) shifted to a minimum of 0 and scaled to a sum of 1; uniform where that is impossible."""
    above = maps - maps.amin(dim=(1, 2), keepdim=True)
    total = above.sum(dim=(1, 2), keepdim=True)
    # Rounding leaves a trace of the magnitude in a constant map, which is no subject.
    tells = total.isfinite() & (total > 1e-9 * maps.abs().sum(dim=(1, 2), keepdim=True))
    return torch.where(tells, above / total, 1 / maps[0].numel())
