"""What SEAM's losses compare: maps scaled to [0, 1], a background beside them, and hardened targets."""

import torch
import torch.nn.functional as F
from torch import Tensor

_EPS = 1e-5


def normalised(cams: Tensor, present: Tensor) -> Tensor:
    """Positive part, min-max to [0, 1] per class and picture, absent classes zero.

    cams (n, k, h, w), present (n, k) in {0, 1} -> (n, k, h, w).
    """
    positive = F.relu(cams)
    low = positive.amin(dim=(2, 3), keepdim=True)
    high = positive.amax(dim=(2, 3), keepdim=True)
    return (positive - low) / (high - low + _EPS) * present[:, :, None, None]


def with_background(maps: Tensor) -> Tensor:
    """(n, k, ...) -> (n, 1 + k, ...): background is one minus the strongest class."""
    return torch.cat([1 - maps.amax(dim=1, keepdim=True), maps], dim=1)


def and_background(present: Tensor) -> Tensor:
    """(n, k) -> (n, 1 + k): background is in every picture."""
    return torch.cat([torch.ones_like(present[:, :1]), present], dim=1)


def hardened(scores: Tensor) -> Tensor:
    """Keep each pixel's strongest channel, zero the others; no gradient flows through it.

    A new tensor, never an edit in place: a detached tensor shares its memory with the map it came from.
    """
    scores = scores.detach()
    return scores * (scores == scores.amax(dim=1, keepdim=True))


def cells(maps: Tensor, valid: Tensor) -> Tensor:
    """The cells that both branches see: (n, c, h, w) and (h, w) bool -> (n, c, number of them)."""
    return maps.flatten(2)[:, :, valid.flatten().to(maps.device)]
