"""Mixes by name: each a pure function in a file of its own."""

from collections.abc import Callable
from typing import Final

from edgecam_training.mixing.cutmix import cutmix
from edgecam_training.mixing.mixed import Mixed, unmixed

Mix = Callable[..., Mixed]  # (images, labels, *, alpha, rng) -> Mixed

MIXES: Final[dict[str, Mix]] = {"cutmix": cutmix}

__all__ = ["MIXES", "Mix", "Mixed", "cutmix", "unmixed"]
