"""What turns frames into a fragmented MP4, and OpenCV's way of doing it."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import cv2

from edgecam.recorder.fitted import fitted
from edgecam.sources.capture import quiet
from edgecam_engines.engine import Frame

MOST_EXACT_FPS: Final = 65.0
CODEC: Final = "mp4v"  # MPEG-4 Part 2: the one that every build of OpenCV can write


class EncoderFailed(OSError):
    """The encoder cannot be started, or ended by itself."""


class Encoder(Protocol):
    """Writes one file. Not shared between threads. Raises OSError."""

    def write(self, frame: Frame) -> None:
        """Add one frame of any size; it is fitted into the first one's."""
        ...

    def close(self) -> None:
        """Finish the file. Safe to call twice."""
        ...


# (path, frames a second, (height, width) of the first frame) -> an open encoder. Raises OSError.
OpenEncoder = Callable[[Path, float, tuple[int, int]], Encoder]


class OpenCVEncoder:
    """MPEG-4 Part 2 by the FFmpeg inside OpenCV. The path must end in `.ismv`."""

    def __init__(self, path: Path, fps: float, hw: tuple[int, int]) -> None:
        quiet()
        self._size = max(16, hw[1] & ~1), max(16, hw[0] & ~1)  # the codec takes even sides only
        code = cv2.VideoWriter.fourcc(*CODEC)
        # MPEG-4 counts time in at most 65,535 parts of a second, and OpenCV turns 187.35 into 187,350 / 1000.
        rate = round(fps, 1) if fps > MOST_EXACT_FPS else fps
        self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, rate, self._size)
        if not self._writer.isOpened():
            raise EncoderFailed(f"this OpenCV cannot write {CODEC} video to {path.parent}")

    def write(self, frame: Frame) -> None:
        self._writer.write(fitted(frame, self._size))

    def close(self) -> None:
        self._writer.release()
