"""Random boxes, as many as there are masks, and the masks that they cut."""

from typing import NamedTuple

import torch
from torch import Tensor


class Boxes(NamedTuple):
    """m boxes in pixels, half-open, each (m,) int64."""

    top: Tensor
    bottom: Tensor
    left: Tensor
    right: Tensor

    @property
    def area(self) -> Tensor:
        """Pixels in each, (m,)."""
        return (self.bottom - self.top) * (self.right - self.left)


def random_boxes(side: Tensor, hw: tuple[int, int], rng: torch.Generator, *, least: int = 0) -> Boxes:
    """Boxes of `side` (m,) times the height and times the width of the image, rounded down.

    The centre is uniform over the pixels and the box is clipped to the image, so a box may be smaller
    than asked for. A side has `least` pixels before it is clipped.
    Source: CutMix, arXiv:1905.04899. There a box is two halves of a side; here odd sides stay odd.
    """
    edges: list[Tensor] = []
    for size in hw:
        long = (side * size).long().clamp(min=least)
        low = torch.randint(size, side.shape, generator=rng) - long // 2
        edges += [low.clamp(min=0), (low + long).clamp(max=size)]
    return Boxes(*edges)


def outside(boxes: Boxes, hw: tuple[int, int]) -> Tensor:
    """True outside of each box, (m, h, w)."""
    h, w = hw
    rows, columns = torch.arange(h), torch.arange(w)
    tall = (rows >= boxes.top[:, None]) & (rows < boxes.bottom[:, None])  # (m, h)
    wide = (columns >= boxes.left[:, None]) & (columns < boxes.right[:, None])  # (m, w)
    return ~(tall[:, :, None] & wide[:, None, :])
