"""A video file. Every frame is given, in order; nothing is skipped."""

from pathlib import Path
from typing import Final

import cv2

from edgecam.sources.capture import Attempt, announced_fps, first_to_open
from edgecam.sources.uri import exists
from edgecam_engines.engine import Frame
from edgecam_engines.errors import SourceError

DECODER_THREADS: Final = 2  # each one holds frames of its own; the default is one a core
LONGEST_SHOWN: Final = 300  # letters


class Video:
    """An open video file. Its first frame is decoded already, which proves that it is a video."""

    live = False

    def __init__(self, capture: cv2.VideoCapture, path: Path) -> None:
        self.name = path.name
        self.fps = announced_fps(capture)
        self._capture = capture
        good, first = capture.read()
        self._first: Frame | None = first if good else None  # type: ignore[assignment]
        self._grabbed: Frame | None = None
        if self._first is None:
            self.close()
            raise SourceError(
                f"{path} opens, but its first frame cannot be decoded: it is empty, damaged, "
                f"or coded in a way that this OpenCV does not know.\nTry to convert it:\n"
                f"    ffmpeg -i {path} -c:v mpeg4 -q:v 3 converted.mp4"
            )

    def grab(self) -> bool:
        self._grabbed, self._first = self._first, None
        return self._grabbed is not None or self._capture.grab()

    def retrieve(self) -> Frame:
        if self._grabbed is not None:
            frame, self._grabbed = self._grabbed, None
            return frame
        good, decoded = self._capture.retrieve()
        if not good:
            raise SourceError(f"{self.name} holds a frame that cannot be decoded; the file is damaged there.")
        return decoded  # type: ignore[return-value]

    def stamp(self) -> float | None:
        return None

    def close(self) -> None:
        self._capture.release()


def open_video(uri: str) -> Video:
    """Open a video file. Raises SourceError: no such file, not readable, not a video, no frames."""
    path = Path(uri)
    if not exists(uri):
        raise SourceError(
            f"There is no file, folder or camera {uri[:LONGEST_SHOWN]!r}.\n"
            f"--camera takes a camera (0 or /dev/video0), a video file, a folder of photos, "
            f"rtsp://..., http://..., csi://0 or gst:PIPELINE."
        )
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.\nCheck it with: ls -l {path}") from error
    capture = None if empty else first_to_open(_attempts(path))
    if capture is None:
        what = "has 0 bytes" if empty else "is not a video that this OpenCV can open"
        raise SourceError(
            f"{path} {what}.\nIf it should be one, it may be cut off (a recorder that was killed), or need "
            f"another codec. Try:\n    ffmpeg -i {path} -c:v mpeg4 -q:v 3 converted.mp4"
        )
    return Video(capture, path)


def _attempts(path: Path) -> list[Attempt]:
    threads = (cv2.CAP_PROP_N_THREADS, DECODER_THREADS)
    return [Attempt(str(path), cv2.CAP_FFMPEG, threads), Attempt(str(path))]
