"""SEAM's rescale branch: the map of a shrunken picture must be the shrunken map.

Source: Wang et al., arXiv:2004.04581. Here without its pixel correlation module, so the cross loss
compares the two branches' own maps.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_EPS = 1e-5


def shrink(frames: Tensor, hw: tuple[int, int]) -> Tensor:
    """uint8 (n, H, W, 3) -> uint8 (n, h, w, 3), bilinear."""
    pixels = frames.permute(0, 3, 1, 2).float()
    small = F.interpolate(pixels, size=hw, mode="bilinear", align_corners=False)
    return small.round_().to(torch.uint8).permute(0, 2, 3, 1)


@contextmanager
def statistics_kept(net: nn.Module) -> Iterator[None]:
    """Batches seen inside leave no mark on BatchNorm's running statistics.

    The second branch sees few and shrunken pictures. Running last in each step, it would make up half
    of the statistics, and a network judged with those answers otherwise than it was trained.
    """
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def normalised(cams: Tensor, present: Tensor) -> Tensor:
    """Positive part, min-max to [0, 1] per class and picture, absent classes zero.

    cams (n, k, h, w), present (n, k) in {0, 1} -> (n, k, h, w).
    """
    positive = F.relu(cams)
    low = positive.amin(dim=(2, 3), keepdim=True)
    high = positive.amax(dim=(2, 3), keepdim=True)
    return (positive - low) / (high - low + _EPS) * present[:, :, None, None]


def with_background(maps: Tensor) -> Tensor:
    """(n, k, h, w) -> (n, 1 + k, h, w): background is one minus the strongest class."""
    return torch.cat([1 - maps.amax(dim=1, keepdim=True), maps], dim=1)


def hardened(scores: Tensor) -> Tensor:
    """Keep each pixel's strongest channel, zero the others; no gradient flows through it."""
    scores = scores.detach()
    return scores * (scores == scores.amax(dim=1, keepdim=True))


def equivariance_loss(large: Tensor, small: Tensor, present: Tensor) -> Tensor:
    """Mean absolute difference of normalised maps over the classes present, (n,)."""
    difference = (large - small).abs().mean(dim=(2, 3)) * present
    return difference.sum(dim=1) / present.sum(dim=1)


def cross_loss(large: Tensor, small: Tensor, *, hardest: float = 0.2) -> Tensor:
    """Each branch against the other's hardened maps, mean over the hardest share of entries, (n,).

    Maps (n, 1 + k, h, w) with background.
    """
    one = _hardest_mean((hardened(small) - large).abs(), hardest)
    other = _hardest_mean((hardened(large) - small).abs(), hardest)
    return one + other


def _hardest_mean(errors: Tensor, share: float) -> Tensor:
    flat = errors.flatten(1)
    return flat.topk(max(1, int(share * flat.shape[1])), dim=1).values.mean(dim=1)


def present_classes(first: Tensor, second: Tensor, classes: int) -> Tensor:
    """Which classes a (mixed) picture holds, two labels (n,) -> (n, classes) in {0, 1}."""
    return torch.maximum(F.one_hot(first, classes), F.one_hot(second, classes)).float()


def rescale_losses(large_cams: Tensor, small_cams: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """ER and ECR of two branches' raw maps (n, k, H, W) and (n, k, h, w); each (n,).

    The cross loss looks at the classes present alone: elsewhere both maps are zero by construction.
    """
    size = small_cams.shape[2:]
    large = F.interpolate(normalised(large_cams, present), size=size, mode="bilinear", align_corners=False)
    small = normalised(small_cams, present)
    er = equivariance_loss(large, small, present)
    return er, cross_loss(with_background(large), with_background(small))
