"""What a run needs to go on bit by bit as if it had never stopped."""

import io
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from edgecam_engines.errors import TrainingError
from edgecam_engines.files import write_atomically
from edgecam_training.ema import Ema


class Position(NamedTuple):
    """The next step to take."""

    epoch: int
    step: int


def save_checkpoint(
    path: Path,
    position: Position,
    model: nn.Module,
    ema: Ema,
    optimizer: torch.optim.Optimizer,
    fingerprint: str,
) -> None:
    """Write everything at once, beside and then renamed. All randomness follows from the position."""
    state = {
        "position": list(position),
        "model": model.state_dict(),
        "ema": ema.model.state_dict(),
        "ema_updates": ema.updates,
        "optimizer": optimizer.state_dict(),
        "fingerprint": fingerprint,
    }
    # By way of memory: on a full disk torch's own writer raises something that is no OSError.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(
    path: Path, model: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer, fingerprint: str
) -> Position:
    """Put a stopped run's state back. Raises TrainingError when it is not this run's."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if state["fingerprint"] != fingerprint:
            raise TrainingError(
                f"{path} belongs to a run with other photos or settings, so it cannot go on from there.\n"
                f"Give the run's own data and settings, or start a new run with another --out."
            )
        model.load_state_dict(state["model"])
        ema.model.load_state_dict(state["ema"])
        ema.updates = state["ema_updates"]
        optimizer.load_state_dict(state["optimizer"])
        return Position(*state["position"])
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, EOFError, pickle.PickleError) as error:
        what = str(error).partition(". ")[0]  # torch adds advice that is not ours to give
        raise TrainingError(
            f"{path} cannot be read as a checkpoint: {what}.\nStart again with another --out."
        ) from error
