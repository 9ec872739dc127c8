"""The simplest head: two feature maps projected, added at stride 16 and normalised."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PlainHead(nn.Module):
    """Project both maps to d channels, add them at stride 16, normalise. The ablation's baseline.

    `channels` are those of the maps at stride 16 and 32. Every other head weighs or maps these tokens.
    """

    def __init__(self, channels: tuple[int, int], dim: int) -> None:
        super().__init__()
        self.from16 = nn.Sequential(nn.Conv2d(channels[0], dim, 1, bias=False), nn.BatchNorm2d(dim))
        self.from32 = nn.Sequential(nn.Conv2d(channels[1], dim, 1, bias=False), nn.BatchNorm2d(dim))
        self.out = nn.BatchNorm2d(dim)

    def forward(self, f16: Tensor, f32: Tensor) -> Tensor:
        return self.out(self.tokens(f16, f32))  # (n, d, h/16, w/16)

    def tokens(self, f16: Tensor, f32: Tensor) -> Tensor:
        return F.relu6(self.from16(f16) + double(self.from32(f32)))


def double(x: Tensor) -> Tensor:
    """Bilinear upsampling by two, (n, d, h, w) -> (n, d, 2h, 2w), as two matrix products.

    Equals F.interpolate(scale_factor=2, mode="bilinear"), without a Resize node in the graph.
    """
    up_h = torch.tensor(_doubling(x.shape[2]), dtype=x.dtype, device=x.device)
    up_w = torch.tensor(_doubling(x.shape[3]), dtype=x.dtype, device=x.device)
    return up_h @ (x @ up_w.T)


@lru_cache(maxsize=64)
def _doubling(size: int) -> list[list[float]]:
    """(2 size, size): row i holds the weights of output i, cell centres half a cell apart."""
    rows = [[0.0] * size for _ in range(2 * size)]
    for i, row in enumerate(rows):
        near, far = i // 2, i // 2 + (1 if i % 2 else -1)
        row[near] += 0.75
        row[min(max(far, 0), size - 1)] += 0.25
    return rows
