"""Masks made of equal blocks, for the mixes that choose blocks by what they show."""

import torch
from torch import Tensor


def ranks(worth: Tensor, rng: torch.Generator) -> Tensor:
    """The place of each block by falling worth, 0 for the best; equals in random order; (n, blocks)."""
    order = torch.randperm(worth.shape[1], generator=rng)
    ranked = order[worth[:, order].argsort(dim=1, descending=True, stable=True)]
    return ranked.argsort(dim=1)


def block_masks(chosen: Tensor, hw: tuple[int, int]) -> Tensor:
    """bool (n, grid, grid) -> (n, h, w): each pixel as its block."""
    rows, columns = (torch.arange(size) * chosen.shape[1] // size for size in hw)
    return chosen[:, rows][:, :, columns]
