"""The loop's engine, lent to another thread a frame at a time, between the loop's own.

A second engine would take its memory a second time, and on a device that has one to spare its features
would be the same.
"""

import threading
from collections.abc import Callable
from typing import Final

import numpy as np

from edgecam_engines.engine import Engine, Features, Frames
from edgecam_engines.errors import EngineError

PATIENCE_S: Final = 30.0  # for one frame; an engine that takes longer hangs


class _Wish:
    """One frame that somebody waits for."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.done = threading.Event()
        self.features: Features | None = None
        self.error: BaseException | None = None


class LentEngine:
    """An Engine for one other thread. The owner calls `serve` as often as it likes."""

    def __init__(self, name: str, input_hw: tuple[int, int], ring: Callable[[], object]) -> None:
        """`ring` wakes the owner when there is something to serve."""
        self.name, self.input_hw = name, input_hw
        self._ring, self._lock = ring, threading.Lock()
        self._wish: _Wish | None = None
        self._ended = False

    def infer(self, frames: Frames, /) -> Features:
        """Each frame on its own, so that the loop waits for one at most. Raises what the engine does."""
        return np.concatenate([self._one(frames[i : i + 1]) for i in range(len(frames))])

    def close(self) -> None:
        """The engine is its owner's."""

    def serve(self, engine: Engine) -> None:
        """Answer one frame if somebody waits for one. Returns at once otherwise."""
        wish = self._wish
        if wish is None:
            return
        try:
            wish.features = engine.infer(wish.frames)
        except Exception as error:  # of any kind: it is for whoever asked, and the loop goes on
            wish.error = error
        with self._lock:
            if self._wish is wish:  # not one that came after this one's patience was over
                self._wish = None
        wish.done.set()

    def end(self) -> None:
        """Nothing will be answered any more."""
        with self._lock:
            self._ended = True
            if (wish := self._wish) is not None:
                wish.error = _gone()
                wish.done.set()

    def _one(self, frames: Frames) -> Features:
        wish = _Wish(frames)
        with self._lock:
            if self._ended:
                raise _gone()
            self._wish = wish
        self._ring()
        if not wish.done.wait(PATIENCE_S):
            raise EngineError(f"The engine {self.name} has not answered for {PATIENCE_S:.0f} s.")
        if wish.error is not None:
            raise wish.error
        assert wish.features is not None
        return wish.features


def _gone() -> EngineError:
    return EngineError("The camera loop has ended, and its engine with it. Start `edgecam run` again.")
