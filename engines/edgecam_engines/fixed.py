"""The public fake: features that are the mean colours of the cells of a frame. No model, no library.

Use it in your own tests wherever an Engine is wanted; it obeys the same contract as the real ones.
"""

import json
from pathlib import Path
from typing import Final

import numpy as np

from edgecam_engines.engine import Features, Frames, check_frames
from edgecam_engines.errors import EngineError
from edgecam_engines.files import read_checked

_LIMIT: Final = 64 << 10  # bytes


class FixedEngine:
    """Mean blue, green and red of each `stride` x `stride` cell, in [0, 1]: d = 3."""

    def __init__(self, input_hw: tuple[int, int] = (64, 64), stride: int = 16) -> None:
        if stride < 1 or any(side < stride or side % stride for side in input_hw):
            raise ValueError(f"The stride {stride} does not divide the input {input_hw}.")
        self.name = "fixed-fp32"
        self.input_hw = input_hw
        self._stride = stride
        self._closed = False

    def infer(self, frames: Frames, /) -> Features:
        if self._closed:
            raise EngineError("This engine is closed. Open the bundle again.")
        check_frames(frames, self.input_hw)
        (h, w), s = self.input_hw, self._stride
        cells = frames.reshape(len(frames), h // s, s, w // s, s, 3)
        means = cells.mean(axis=(2, 4), dtype=np.float32) / np.float32(255)  # (n, gh, gw, 3)
        return np.ascontiguousarray(means.transpose(0, 3, 1, 2))

    def close(self) -> None:
        self._closed = True


def load_fixed(path: Path, sha256: str | None = None) -> FixedEngine:
    """Open a JSON file such as {"input_hw": [64, 64], "stride": 16}; with `sha256`, only that very file."""
    try:
        settings = json.loads(read_checked(path, _LIMIT, sha256))
        h, w = settings["input_hw"]
        return FixedEngine((int(h), int(w)), int(settings["stride"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise EngineError(f"{path} does not describe a fixed engine: {error}.") from error
