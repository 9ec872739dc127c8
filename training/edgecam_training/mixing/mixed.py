"""What every mix is given, and what it returns."""

from typing import NamedTuple

import torch
from torch import Tensor


class Given(NamedTuple):
    """What a mix may use beside the batch and the randomness. Each takes from it what it needs."""

    alpha: float = 1.0  # the share that stays is drawn from Beta(alpha, alpha)
    per_sample: bool = False  # a share and a mask for each image; otherwise one of each for the batch
    fill: Tensor = torch.full((3,), 128, dtype=torch.uint8)  # BGR, the colour that is zero to the network
    saliency: Tensor | None = None  # (n, gh, gw), where each image shows its label; any scale


class Mixed(NamedTuple):
    """A batch in which each image may hold a part of another."""

    images: Tensor  # (n, h, w, 3) uint8
    first: Tensor  # (n,) int64, the label underneath
    second: Tensor  # (n,) int64, the label of the part on top
    first_share: Tensor  # (n,) float32, weight of `first` in the loss
    second_share: Tensor  # (n,) float32, weight of `second`; one minus the first but for SnapMix
    mask: Tensor | None = None  # (n or 1, h, w) float32, share of `first` in each pixel; None: all of it


def unmixed(images: Tensor, labels: Tensor) -> Mixed:
    """The batch as it is."""
    ones = torch.ones(len(labels), device=images.device)
    return Mixed(images, labels, labels, ones, torch.zeros_like(ones))
