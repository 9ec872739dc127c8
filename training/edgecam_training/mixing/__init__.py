"""Mixes: each a pure function in a file of its own, (images, labels, given, rng) -> Mixed."""

from edgecam_training.mixing.mixed import Given, Mixed, unmixed
from edgecam_training.mixing.plan import parse_mixes, pick
from edgecam_training.mixing.registry import MIXES, Mix

__all__ = ["MIXES", "Given", "Mix", "Mixed", "parse_mixes", "pick", "unmixed"]
