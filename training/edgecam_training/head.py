"""Feature heads: two feature maps in, one map of tokens at stride 16 out, ready for a linear class head.

Everything here is per token or linear in the number of tokens, and nothing non-linear follows the last
normalisation, so that mean(CAM) + b == logits stays exact.
"""

from functools import lru_cache
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PlainHead(nn.Module):
    """Project both maps to d channels, add them at stride 16, normalise. The ablation's baseline."""

    def __init__(self, channels: tuple[int, int], dim: int) -> None:
        super().__init__()
        self.from16 = nn.Sequential(nn.Conv2d(channels[0], dim, 1, bias=False), nn.BatchNorm2d(dim))
        self.from32 = nn.Sequential(nn.Conv2d(channels[1], dim, 1, bias=False), nn.BatchNorm2d(dim))
        self.out = nn.BatchNorm2d(dim)

    def forward(self, f16: Tensor, f32: Tensor) -> Tensor:
        return self.out(self.tokens(f16, f32))  # (n, d, h/16, w/16)

    def tokens(self, f16: Tensor, f32: Tensor) -> Tensor:
        return F.relu6(self.from16(f16) + double(self.from32(f32)))


class LinearHead(PlainHead):
    """PlainHead whose tokens a linear-attention block turns up and down, each channel by 0 to 2.

    Attention sees the whole photo. Were its answer added to the tokens, the evidence for a class could
    stand anywhere, and the maps would not show where the thing is. As a factor it can only weigh what a
    token holds itself.
    """

    def __init__(self, channels: tuple[int, int], dim: int) -> None:
        super().__init__(channels, dim)
        self.norm = nn.BatchNorm2d(dim)
        self.attention = LinearAttention(dim, heads=dim // 32)

    def forward(self, f16: Tensor, f32: Tensor) -> Tensor:
        x = self.tokens(f16, f32)
        return self.out(x * F.hardtanh(self.attention(self.norm(x)), 0, 2))


class LinearAttention(nn.Module):
    """Efficient attention with a head-level softmax gate, (n, d, h, w) -> (n, d, h, w).

    Per head: o_i = softmax_d(q_i) (softmax_N(k)^T v), whose implied rows are non-negative and sum to
    one without a division, so FP16 cannot overflow. A token's gate, softmax over heads times the number
    of heads, lets heads compete for it. Cost: N (d_k d_v) instead of N^2 d.
    Source: Efficient Attention, arXiv:1812.01243; the gate after arXiv:2602.01744 ("SLA-style"). A
    depthwise 3x3 on v adds position, which attention alone does not see.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        half = dim // 2  # queries and keys carry weights, not content: half the channels suffice
        self.query = nn.Conv2d(dim, half, 1)
        self.key = nn.Conv2d(dim, half, 1)
        self.value = nn.Conv2d(dim, dim, 1)
        self.near = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.gate = nn.Conv2d(dim, heads, 1)
        self.merge = nn.Conv2d(dim, dim, 1)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)
        # A factor of 1 for every token, until training finds a better one.
        nn.init.zeros_(self.merge.weight)
        nn.init.ones_(self.merge.bias)

    def forward(self, x: Tensor) -> Tensor:
        _, d, h, w = x.shape
        value = self.value(x)
        q = self._split(self.query(x)).softmax(dim=2)  # (n, heads, dk, N)
        k = self._split(self.key(x)).softmax(dim=3)  # (n, heads, dk, N)
        context = self._split(value) @ k.transpose(2, 3)  # (n, heads, dv, dk)
        gate = self.gate(x).softmax(dim=1) * self.heads  # (n, heads, h, w)
        mixed = (context @ q) * gate.reshape(-1, self.heads, 1, h * w)  # (n, heads, dv, N)
        return self.merge(mixed.reshape(-1, d, h, w) + self.near(value))

    def _split(self, x: Tensor) -> Tensor:
        _, d, h, w = x.shape
        return x.reshape(-1, self.heads, d // self.heads, h * w)


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


HEADS: Final[dict[str, type[PlainHead]]] = {"linear": LinearHead, "plain": PlainHead}
