"""What a run needs to go on bit by bit as if it had never stopped."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from edgecam_engines.errors import TrainingError
from edgecam_engines.files import write_atomically
from edgecam_training.ema import Ema


class Position(NamedTuple):
    """The next step to take, and the losses of the steps before it in this epoch."""

    epoch: int
    step: int
    losses: tuple[float, ...] = ()


class Every:
    """Says when another so many minutes have passed; the clock counts seconds."""

    def __init__(self, minutes: float, clock: Callable[[], float]) -> None:
        self._seconds, self._clock, self._last = 60 * minutes, clock, clock()

    def due(self) -> bool:
        return self._clock() - self._last >= self._seconds

    def restart(self) -> None:
        """Count from now on."""
        self._last = self._clock()


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
        "position": [position.epoch, position.step],
        "losses": list(position.losses),
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
        return Position(*state["position"], tuple(state["losses"]))
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, EOFError, pickle.PickleError) as error:
        what = str(error).partition(". ")[0]  # torch adds advice that is not ours to give
        raise TrainingError(
            f"{path} cannot be read as a checkpoint: {what}.\nStart again with another --out."
        ) from error


def sweep(run: Path) -> None:
    """Remove what a killed process had begun to write beside its files."""
    for half in (*run.glob(".checkpoint-*.pt"), *run.glob(".history-*.jsonl")):
        half.unlink(missing_ok=True)
