"""What every mix returns."""

from typing import NamedTuple

import torch
from torch import Tensor


class Mixed(NamedTuple):
    """A batch in which each image may hold a part of another."""

    images: Tensor  # (n, h, w, 3) uint8
    first: Tensor  # (n,) int64, the label underneath
    second: Tensor  # (n,) int64, the label of the part on top
    first_share: Tensor  # (n,) in [0, 1], label mass that stays with `first`


def unmixed(images: Tensor, labels: Tensor) -> Mixed:
    """The batch as it is."""
    return Mixed(images, labels, labels, torch.ones(len(labels)))
