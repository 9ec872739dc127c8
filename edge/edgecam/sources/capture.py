"""What every source that OpenCV opens has in common."""

import os
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import cv2

from edgecam_engines.engine import Frame
from edgecam_engines.errors import SourceError

FIRST_FRAME_TRIES: Final = 10  # some USB cameras fail their first few
USUAL_FPS: Final = 30.0  # where the source does not say, or says nonsense

Stamp = Callable[[], float | None]


class Attempt(NamedTuple):
    """One way to open a source."""

    target: str | int
    api: int = cv2.CAP_ANY
    params: tuple[int, ...] = ()  # property, value, property, value, ...


def quiet() -> None:
    """Keep OpenCV and FFmpeg from printing: our messages say what failed, and what to do."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def first_to_open(attempts: Sequence[Attempt]) -> cv2.VideoCapture | None:
    """The first attempt that opens, or None."""
    quiet()
    for attempt in attempts:
        capture = cv2.VideoCapture()
        if _opens(capture, attempt):
            return capture
        capture.release()
    return None


def _opens(capture: cv2.VideoCapture, attempt: Attempt) -> bool:
    try:
        return bool(capture.open(attempt.target, attempt.api, list(attempt.params)))
    except cv2.error:
        return False


def gives_frames(capture: cv2.VideoCapture, tries: int = FIRST_FRAME_TRIES) -> bool:
    """Whether a frame arrives; it is spent on the question."""
    return any(capture.grab() and capture.retrieve()[0] for _ in range(tries))


def unstamped() -> float | None:
    """For a source whose driver tells no capture time. A stream's position is none: it starts at 0."""
    return None


class LiveCapture:
    """An open camera or stream. A frame that does not come means that it is lost."""

    live = True

    def __init__(self, capture: cv2.VideoCapture, name: str, stamp: Stamp = unstamped) -> None:
        self.name = name
        self.fps = announced_fps(capture)
        self._capture, self._stamp = capture, stamp

    def grab(self) -> bool:
        if not self._capture.grab():
            raise SourceError(f"{self.name} stopped giving frames.")
        return True

    def retrieve(self) -> Frame:
        return self._retrieved(None)

    def retrieve_into(self, room: Frame, /) -> Frame:
        return self._retrieved(room)

    def _retrieved(self, room: Frame | None) -> Frame:
        good, frame = self._capture.retrieve(room)
        if not good:
            raise SourceError(f"{self.name} gave a frame that cannot be decoded.")
        return frame  # type: ignore[return-value]

    def stamp(self) -> float | None:
        return self._stamp()

    def close(self) -> None:
        self._capture.release()


def announced_fps(capture: cv2.VideoCapture) -> float:
    """What the source says of its rate, or USUAL_FPS where that is no rate at all."""
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if 0.1 <= fps <= 1000 else USUAL_FPS
