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


class Checkpoint:
    """One file that holds all there is to a run; all randomness follows from the position.

    The file is replaced at once, so whenever the process is killed, the one before or the new one is whole.
    """

    def __init__(
        self, path: Path, model: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer, fingerprint: str
    ) -> None:
        self.path, self.model, self.ema, self.optimizer = path, model, ema, optimizer
        self.fingerprint = fingerprint  # of the photos and settings

    def save(self, position: Position) -> None:
        """Write everything beside, then rename. Raises OutputError."""
        state = {
            "position": [position.epoch, position.step],
            "losses": list(position.losses),
            "model": self.model.state_dict(),
            "ema": self.ema.model.state_dict(),
            "ema_updates": self.ema.updates,
            "optimizer": self.optimizer.state_dict(),
            "fingerprint": self.fingerprint,
        }
        # By way of memory: on a full disk torch's own writer raises something that is no OSError.
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(self.path, buffer.getvalue())

    def load(self) -> Position:
        """Put a stopped run's state back. Raises TrainingError when it is not this run's."""
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
            if state["fingerprint"] != self.fingerprint:
                raise TrainingError(
                    f"{self.path} belongs to a run with other photos or settings, so it cannot go on from "
                    f"there.\nGive the run's own data and settings, or start a new run with another --out."
                )
            self.model.load_state_dict(state["model"])
            self.ema.model.load_state_dict(state["ema"])
            self.ema.updates = state["ema_updates"]
            self.optimizer.load_state_dict(state["optimizer"])
            epoch, step = state["position"]
            return Position(epoch, step, tuple(state["losses"]))
        except (
            OSError,
            KeyError,
            RuntimeError,
            TypeError,
            ValueError,
            EOFError,
            pickle.PickleError,
        ) as error:
            what = str(error).partition(". ")[0]  # torch adds advice that is not ours to give
            raise TrainingError(
                f"{self.path} cannot be read as a checkpoint: {what}.\nStart again with another --out."
            ) from error


class Alarm:
    """Says when so many minutes have passed, again and again; the clock counts seconds."""

    def __init__(self, minutes: float, clock: Callable[[], float]) -> None:
        self._seconds, self._clock = 60 * minutes, clock
        self.restart()

    def restart(self) -> None:
        """Count from now on."""
        self._since = self._clock()

    def due(self) -> bool:
        """Whether the time is over."""
        return self._clock() - self._since >= self._seconds


def sweep(run: Path) -> None:
    """Remove what a killed process had begun to write beside the files of a run that goes on."""
    for file in ("checkpoint.pt", "history.jsonl", "options.json", "split.json"):
        stem, _, suffix = file.partition(".")
        for half in run.glob(f".{stem}-*.{suffix}"):
            half.unlink(missing_ok=True)
