"""The ranges of one profile's activations, as a module: learned, or followed by a moving average."""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from edgecam_training.qat.fakequant import fake_quantize

MOMENTUM: Final = 0.99


class Grid(NamedTuple):
    """One tensor's steps, as an ONNX file writes them."""

    scale: float
    zero_point: int


class Ranges(nn.Module):
    """Rounds each of a profile's activations by its own scale and zero point.

    `grids` are the calibrated ones, where learning begins. `pinned` never learns.
    Scales learn as logarithms, so that a step changes all of them in proportion; zero points as shares of
    the range, and only where they are not at its end (what a ReLU leaves needs no room below zero).
    """

    log_scale: nn.Parameter  # (k,)
    zero: nn.Parameter  # (k,) as a share of 255 steps

    def __init__(
        self,
        grids: Mapping[str, Grid],
        *,
        signed: bool,
        pinned: str | None,
        how: str,
    ) -> None:
        super().__init__()
        self.signed, self.pinned, self.how = signed, pinned, how
        self.low, self.high = (-128, 127) if signed else (0, 255)
        self.names = tuple(grids)
        self._place = {name: k for k, name in enumerate(self.names)}
        own = [grids[name] for name in self.names]
        learns = how == "learned"
        self.log_scale = nn.Parameter(torch.tensor([math.log(g.scale) for g in own]), requires_grad=learns)
        places = torch.tensor([g.zero_point / 255 for g in own])
        self.zero = nn.Parameter(places, requires_grad=learns and not signed)
        self._moves = [name != pinned for name in self.names]
        self._shifts = [not signed and g.zero_point > 0 for g in own]

    def forward(self, name: str, x: Tensor) -> Tensor:
        """Round the tensor of that name."""
        if self.how == "average" and self.training and name != self.pinned:
            self._follow(self._place[name], x)
        scale, zero = self.grid(name)
        return fake_quantize(x, scale, zero, self.low, self.high)

    def grid(self, name: str) -> tuple[Tensor, Tensor]:
        """Scale and zero point (not yet a whole number) of a tensor, of one number each."""
        i = self._place[name]
        scale, zero = self.log_scale[i].exp(), (self.zero[i] * 255).clamp(self.low, self.high)
        scale = scale if self._moves[i] else scale.detach()
        return scale, zero if self._moves[i] and self._shifts[i] else zero.detach()

    @torch.no_grad()
    def _follow(self, i: int, x: Tensor) -> None:
        """Move the range a little towards this batch's smallest and largest value."""
        scale, zero = self.log_scale[i].exp(), self.zero[i] * 255
        old_low, old_high = (self.low - zero) * scale, (self.high - zero) * scale
        low = torch.lerp(x.min().clamp_max(0), old_low, MOMENTUM)
        high = torch.lerp(x.max().clamp_min(0), old_high, MOMENTUM)
        if self.signed:
            scale = torch.maximum(-x.min(), x.max()).clamp_min(0) / 127 * (1 - MOMENTUM) + MOMENTUM * scale
        else:
            scale = (high - low) / 255
            self.zero[i] = (-low / scale / 255).clamp(0, 1)
        self.log_scale[i] = scale.clamp_min(1e-12).log()

    @torch.no_grad()
    def grids(self) -> dict[str, Grid]:
        """Every tensor's grid as it is now, for the file."""
        found = {}
        for name in self._place:
            scale, zero = self.grid(name)
            found[name] = Grid(scale.item(), round(zero.item()))
        return found
