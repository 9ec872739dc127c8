"""What sets SEAM's second branch apart: the picture shrunken, mirrored, turned or shifted.

A transform takes a picture to what the second branch sees, the first branch's maps to where the second
branch should have them, and maps back again. `valid` marks the cells of the second branch whose content
the first has seen too. Published is rescaling; the others are there to be compared with it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from edgecam_training.model import STRIDE
from edgecam_training.options import shrunk

GREY: Final = 127.0  # what is drawn where a picture has ended; next to zero once it is centred

HW = tuple[int, int]


class Transform(Protocol):
    """Pure functions of a picture and of maps (n, c, h, w) at stride 16."""

    def frames(self, frames: Tensor, /) -> Tensor: ...  # uint8 (n, H, W, 3) -> uint8 (n, H', W', 3)
    def maps(self, maps: Tensor, /) -> Tensor: ...  # first branch's cells -> second branch's
    def back(self, maps: Tensor, /) -> Tensor: ...  # second branch's cells -> first branch's
    def valid(self, hw: HW, /) -> Tensor: ...  # (h, w) bool, for the second branch's cells


@dataclass(frozen=True)
class Rescale:
    """From `full` to `small` pixels, both in multiples of 32."""

    full: HW
    small: HW

    def frames(self, frames: Tensor) -> Tensor:
        return _as_frames(_resized(_as_planes(frames), self.small))

    def maps(self, maps: Tensor) -> Tensor:
        return _resized(maps, _grid(self.small))

    def back(self, maps: Tensor) -> Tensor:
        return _resized(maps, _grid(self.full))

    def valid(self, hw: HW) -> Tensor:
        return torch.ones(hw, dtype=torch.bool)


@dataclass(frozen=True)
class Flip:
    """Left and right exchanged."""

    def frames(self, frames: Tensor) -> Tensor:
        return frames.flip(2)

    def maps(self, maps: Tensor) -> Tensor:
        return maps.flip(3)

    back = maps

    def valid(self, hw: HW) -> Tensor:
        return torch.ones(hw, dtype=torch.bool)


@dataclass(frozen=True)
class QuarterTurn:
    """Turned anticlockwise by `quarters` times 90 degrees; height and width may change places."""

    quarters: int

    def frames(self, frames: Tensor) -> Tensor:
        return frames.rot90(self.quarters, (1, 2))

    def maps(self, maps: Tensor) -> Tensor:
        return maps.rot90(self.quarters, (2, 3))

    def back(self, maps: Tensor) -> Tensor:
        return maps.rot90(-self.quarters, (2, 3))

    def valid(self, hw: HW) -> Tensor:
        return torch.ones(hw, dtype=torch.bool)


@dataclass(frozen=True)
class Tilt:
    """Turned anticlockwise by a few degrees about the centre; corners that come from outside are grey."""

    degrees: float

    def frames(self, frames: Tensor) -> Tensor:
        return _as_frames(_tilted(_as_planes(frames) - GREY, self.degrees) + GREY)

    def maps(self, maps: Tensor) -> Tensor:
        return _tilted(maps, self.degrees)

    def back(self, maps: Tensor) -> Tensor:
        return _tilted(maps, -self.degrees)

    def valid(self, hw: HW) -> Tensor:
        return _tilted(torch.ones(1, 1, *hw), self.degrees)[0, 0] > 0.999


@dataclass(frozen=True)
class Shift:
    """Moved by whole cells of 16 pixels, down and to the right; what comes from outside is grey."""

    down: int
    right: int

    def frames(self, frames: Tensor) -> Tensor:
        moved = _shifted(_as_planes(frames) - GREY, STRIDE * self.down, STRIDE * self.right)
        return _as_frames(moved + GREY)

    def maps(self, maps: Tensor) -> Tensor:
        return _shifted(maps, self.down, self.right)

    def back(self, maps: Tensor) -> Tensor:
        return _shifted(maps, -self.down, -self.right)

    def valid(self, hw: HW) -> Tensor:
        return _shifted(torch.ones(1, 1, *hw), self.down, self.right)[0, 0] > 0


def _as_planes(frames: Tensor) -> Tensor:
    return frames.permute(0, 3, 1, 2).float()


def _as_frames(planes: Tensor) -> Tensor:
    return planes.round().to(torch.uint8).permute(0, 2, 3, 1)


def _grid(pixels: HW) -> HW:
    return pixels[0] // STRIDE, pixels[1] // STRIDE


def _resized(planes: Tensor, hw: HW) -> Tensor:
    return F.interpolate(planes, size=hw, mode="bilinear", align_corners=False)


def _shifted(planes: Tensor, down: int, right: int) -> Tensor:
    """Zero padding on the side that is entered, which is cropping on the other."""
    return F.pad(planes, (right, -right, down, -down))


def _tilted(planes: Tensor, degrees: float) -> Tensor:
    """Bilinear, zero from outside. grid_sample's axes run from -1 to 1 whatever the sides, so a turn
    of a picture that is not square must undo their ratio, or it would also shear."""
    n, _, h, w = planes.shape
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    theta = torch.tensor([[cos, -sin * h / w, 0], [sin * w / h, cos, 0]], device=planes.device)
    grid = F.affine_grid(theta.expand(n, 2, 3), list(planes.shape), align_corners=False)
    return F.grid_sample(planes, grid.to(planes.dtype), align_corners=False)


def draw_rescale(hw: HW, scale: float, rng: torch.Generator) -> Transform:
    return Rescale(hw, shrunk(hw, scale))


def draw_flip(hw: HW, scale: float, rng: torch.Generator) -> Transform:
    return Flip()


def draw_quarter_turn(hw: HW, scale: float, rng: torch.Generator) -> Transform:
    return QuarterTurn(int(torch.randint(1, 4, (), generator=rng)))


def draw_tilt(hw: HW, scale: float, rng: torch.Generator) -> Transform:
    """5 to 20 degrees to either side: less would hardly move a cell."""
    degrees, side = torch.rand(2, generator=rng).tolist()
    return Tilt((5 + 15 * degrees) * (1 if side < 0.5 else -1))


def draw_shift(hw: HW, scale: float, rng: torch.Generator) -> Transform:
    """Up to a quarter of each side, in whole cells, and never nothing."""
    reach_h, reach_w = (max(1, cells // 4) for cells in _grid(hw))
    down = int(torch.randint(-reach_h, reach_h + 1, (), generator=rng))
    right = int(torch.randint(-reach_w, reach_w + 1, (), generator=rng))
    return Shift(down, right) if down or right else Shift(0, 1)


# (pixels of the picture, seam_scale, randomness) -> a transform for the batch
TRANSFORMS: Final[dict[str, Callable[[HW, float, torch.Generator], Transform]]] = {
    "rescale": draw_rescale,
    "flip": draw_flip,
    "quarter": draw_quarter_turn,
    "tilt": draw_tilt,
    "shift": draw_shift,
}
