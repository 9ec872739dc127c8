"""The default head: linear attention that turns each token's channels up and down."""

import torch.nn.functional as F
from torch import Tensor, nn

from edgecam_training.heads.attend import Attend, efficient
from edgecam_training.heads.plain import PlainHead


class LinearHead(PlainHead):
    """PlainHead whose tokens a linear-attention block turns up and down, each channel by 0 to 2.

    Attention sees the whole photo. Were its answer added to the tokens, the evidence for a class could
    stand anywhere, and the maps would not show where the thing is. As a factor it can only weigh what a
    token holds itself.
    """

    def __init__(self, channels: tuple[int, int], dim: int, attend: Attend = efficient) -> None:
        super().__init__(channels, dim)
        self.norm = nn.BatchNorm2d(dim)
        self.attention = LinearAttention(dim, heads=dim // 32, attend=attend)

    def forward(self, f16: Tensor, f32: Tensor) -> Tensor:
        x = self.tokens(f16, f32)
        return self.out(x * F.hardtanh(self.attention(self.norm(x)), 0, 2))


class LinearAttention(nn.Module):
    """Attention in linear time with a head-level softmax gate, (n, d, h, w) -> (n, d, h, w).

    `attend` is the core (attend.py). A token's gate, softmax over heads times the number of heads, lets
    heads compete for it. Cost: N (d_k d_v) instead of N^2 d.
    Source of the gate: after arXiv:2602.01744 ("SLA-style"). A depthwise 3x3 on v adds position, which
    attention alone does not see.
    """

    def __init__(self, dim: int, heads: int, attend: Attend = efficient) -> None:
        super().__init__()
        self.heads, self.attend = heads, attend
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
        mixed = self.attend(self._split(self.query(x)), self._split(self.key(x)), self._split(value))
        gate = self.gate(x).softmax(dim=1) * self.heads  # (n, heads, h, w)
        gated = mixed * gate.reshape(-1, self.heads, 1, h * w)  # (n, heads, dv, N)
        return self.merge(gated.reshape(-1, d, h, w) + self.near(value))

    def _split(self, x: Tensor) -> Tensor:
        _, d, h, w = x.shape
        return x.reshape(-1, self.heads, d // self.heads, h * w)  # (n, heads, d / heads, N)
