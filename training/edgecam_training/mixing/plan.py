"""Which mixes a run uses and how often, as typed: "cutmix:0.3,fmix:0.2"."""

from collections.abc import Mapping

import torch

from edgecam_engines.errors import TrainingError
from edgecam_training.mixing.registry import MIXES


def parse_mixes(text: str, probability: float) -> dict[str, float]:
    """The share of steps that each mix gets; "none" is no mix at all.

    Names without a share of their own divide `probability` equally. Raises TrainingError.
    """
    if text.strip() == "none":
        return {}
    typed = [part.strip().partition(":") for part in text.split(",")]
    names = [name for name, _, _ in typed]
    for name in names:
        if name not in MIXES:
            raise TrainingError(f"There is no mix {name!r}. Choose one of: none, {', '.join(MIXES)}.{_USE}")
    if len(set(names)) < len(names):
        raise TrainingError(f"--mix {text} names a mix twice.{_USE}")
    plain = sum(not colon for _, colon, _ in typed)
    shares = {name: _share(text, own) if colon else probability / plain for name, colon, own in typed}
    if sum(shares.values()) > 1 + 1e-9:
        raise TrainingError(
            f"--mix {text} asks for mixes in {sum(shares.values()):.0%} of the steps"
            f"{f' (--mix-probability is {probability})' if plain else ''}; there are no more than 100%.{_USE}"
        )
    return shares


_USE = "\nSeveral go together, each with its share of the steps: --mix cutmix:0.3,fmix:0.2"


def _share(text: str, own: str) -> float:
    try:
        share = float(own)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise TrainingError(f"--mix {text}: {own!r} is no share between 0 and 1.{_USE}")
    return share


def pick(shares: Mapping[str, float], rng: torch.Generator) -> str | None:
    """One of the mixes, each as often as its share; None for the rest of the time."""
    drawn = float(torch.rand((), generator=rng, dtype=torch.float64))
    for name, share in shares.items():
        drawn -= share
        if drawn < 0:
            return name
    return None
