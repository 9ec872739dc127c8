"""The two draws that begin every mix: who goes with whom, and how much stays."""

import torch
from torch import Tensor

from edgecam_training.mixing.mixed import Given


def pairing(n: int, rng: torch.Generator) -> Tensor:
    """The partner of each image: a random permutation of the batch, (n,)."""
    return torch.randperm(n, generator=rng)


def kept_shares(n: int, given: Given, rng: torch.Generator) -> Tensor:
    """The share of each image that is to stay, (n,) or, one for the batch, (1,)."""
    return beta(given.alpha, given.alpha, n if given.per_sample else 1, rng)


def beta(a: float, b: float, count: int, rng: torch.Generator) -> Tensor:
    """Draws of Beta(a, b), (count,) float64, by two gamma draws each from the given generator."""
    concentration = torch.tensor([a, b], dtype=torch.float64).expand(count, 2)
    x, y = torch._standard_gamma(concentration, generator=rng).unbind(1)
    return torch.where(x + y > 0, x / (x + y), 0.5)  # tiny a and b: both draws may underflow
