"""For the tests of mixes: batches that say in every pixel where it came from, and a seeded generator."""

import torch
from hypothesis import strategies as st
from torch import Tensor

from edgecam_training.mixing import MIXES, Given

sizes = st.integers(1, 40)
seeds = st.integers(0, 2**40)
alphas = st.floats(0.1, 4)
KEEPS_LABELS_BY_AREA = [name for name in MIXES if name not in {"cutout", "snapmix"}]
SOFT = {"mixup", "hmix", "gmix"}


def rng_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n: int, h: int, w: int) -> tuple[Tensor, Tensor]:
    """Images whose every pixel is the image's number, which is its label too."""
    ids = torch.arange(n)
    return ids.to(torch.uint8)[:, None, None, None].expand(n, h, w, 3).contiguous(), ids


def noise(n: int, h: int, w: int, seed: int) -> Tensor:
    return torch.randint(0, 256, (n, h, w, 3), dtype=torch.uint8, generator=rng_of(seed))


def given_for(n: int, *, seed: int = 0, alpha: float = 1.0, per_sample: bool = False) -> Given:
    """All that any mix can ask for; the maps are random, and of fewer rows than columns."""
    maps = torch.randn(n, 5, 6, generator=rng_of(seed))
    return Given(alpha, per_sample, torch.tensor([9, 130, 77], dtype=torch.uint8), maps)
