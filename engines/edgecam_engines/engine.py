"""The one seam between a compiled model and everything that uses it."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Frame: TypeAlias = NDArray[np.uint8]  # (height, width, 3), BGR, any size, as a camera gives it
Frames: TypeAlias = NDArray[np.uint8]  # (n, h, w, 3), BGR, already fitted to the engine's input_hw
Features: TypeAlias = NDArray[np.float32]  # (n, d, gh, gw), what the class head reads


class Engine(Protocol):
    """One compiled model on one device. Not shared between threads."""

    name: str  # as in reports: "onnxruntime-int8"
    input_hw: tuple[int, int]  # pixels

    def infer(self, frames: Frames, /) -> Features:
        """Features of a batch. Raises ValueError when shape or dtype do not fit `input_hw`."""
        ...

    def close(self) -> None:
        """Give the device back. Safe to call twice; `infer` afterwards raises EngineError."""
        ...


class EngineStages(NamedTuple):
    """Where one call of an engine spent its time. Seconds; during `enqueue` the device works already."""

    copy_in: float  # of frames to where the device reads them
    enqueue: float  # in the host's calls that hand work to the device
    compute: float  # of the device alone, by its own clock
    copy_out: float  # of features to where the class head reads them


@runtime_checkable
class Staged(Protocol):
    """What an engine may do besides: tell its stages apart, for a few microseconds a call."""

    last_stages: EngineStages | None  # of the last call of `infer`; None before one was watched

    def watch(self, clock: Callable[[], float], /) -> None:
        """Tell them from now on, the host's part by this clock."""
        ...


def check_frames(frames: Frames, input_hw: tuple[int, int]) -> None:
    """The check that every back end makes first. Raises ValueError."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (*input_hw, 3) or not len(frames):
        h, w = input_hw
        raise ValueError(
            f"This engine takes uint8 frames of shape (n, {h}, {w}, 3), BGR; "
            f"it was given {frames.dtype} {frames.shape}. Fit a camera frame with geometry.fit first."
        )
