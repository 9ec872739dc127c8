"""An MP4 of the overlay that appears under its name only when it is complete.

Frames of another size than the first (a folder of photos, a camera that came back) are fitted into
the first one's size with bars, never stretched. A live camera is recorded in its own time: a frame is
held until the next one was captured.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import cv2

from edgecam.recorder.clock import MediaClock
from edgecam.recorder.encoder import CODEC
from edgecam.recorder.fitted import fitted
from edgecam.result import Result
from edgecam.sources.capture import quiet
from edgecam_engines.engine import Frame
from edgecam_engines.errors import OutputError

INDEX_BYTES: Final = 64  # of the file's index, a frame
SPARE_BYTES: Final = 128 << 10  # kept free to close the file with


class Recording:
    """Writes beside `path` and renames at the end. A full disk leaves nothing behind."""

    pictures = True

    def __init__(self, path: Path, *, fps: float, live: bool) -> None:
        self.frames = 0  # written so far
        self._path, self._fps, self._live = path, fps, live
        self._writer: cv2.VideoWriter | None = None
        self._temporary: Path | None = None
        self._size = (0, 0)
        self._clock = MediaClock(live=live, fps=fps)
        _check(path)

    def write(self, frame: Frame, result: Result) -> None:
        if self._writer is None:
            self._open(frame)
        if shutil.disk_usage(self._path.parent).free < self._needed(frame):
            self._fail("the disk is full")
        picture = fitted(frame, self._size)
        for _ in range(self._repeats(result.captured_at)):
            self._writer.write(picture)  # type: ignore[union-attr]
            self.frames += 1

    def close(self) -> None:
        writer, temporary = self._writer, self._temporary
        if writer is None or temporary is None:
            return
        self._writer, self._temporary = None, None
        try:
            writer.release()
            if _count(temporary) < self.frames:  # OpenCV tells nobody when a write fails
                raise OutputError(_sorry(self._path, "the disk is full or went away"))
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(self._path)
        except OSError as error:
            raise OutputError(_sorry(self._path, error.strerror or str(error))) from error
        finally:
            temporary.unlink(missing_ok=True)

    def _open(self, frame: Frame) -> None:
        quiet()
        height, width = frame.shape[:2]
        self._size = max(16, width & ~1), max(16, height & ~1)  # the codec takes even sides only
        try:
            handle, name = tempfile.mkstemp(
                prefix=f".{self._path.stem}-", suffix=".mp4", dir=self._path.parent
            )
            os.close(handle)
        except OSError as error:
            raise OutputError(_sorry(self._path, error.strerror or str(error))) from error
        self._temporary = Path(name)
        self._writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*CODEC), self._fps, self._size)
        if not self._writer.isOpened():
            self._fail(f"this OpenCV cannot write {CODEC} video, or the disk is full")

    def _needed(self, frame: Frame) -> int:
        """Bytes that must be free for one more frame and for closing the file."""
        return SPARE_BYTES + frame.nbytes // 4 + INDEX_BYTES * self.frames

    def _repeats(self, captured_at: float) -> int:
        """How often a frame is written: at least once, and so that a live recording plays in real time."""
        at_s = self._clock.tick(captured_at)
        return max(1, round(at_s * self._fps) + 1 - self.frames) if self._live else 1

    def _fail(self, why: str) -> None:
        if self._writer is not None:
            self._writer.release()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
        self._writer, self._temporary = None, None
        raise OutputError(_sorry(self._path, why))


def _check(path: Path) -> None:
    """What can be known before the first frame. Raises OutputError."""
    if path.suffix.lower() != ".mp4":
        raise OutputError(
            f"A recording is an MP4 file; {path} does not end in .mp4.\nTry: --record {path.stem}.mp4"
        )
    if path.is_dir():
        raise OutputError(f"{path} is a folder. Name a file: --record {path / 'overlay.mp4'}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(_sorry(path, error.strerror or str(error))) from error
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(_sorry(path, f"you may not write to {path.parent}"))


def _count(path: Path) -> int:
    """Frames that a reader of the file would find; 0 for a file that cannot be opened."""
    reader = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        return int(reader.get(cv2.CAP_PROP_FRAME_COUNT)) if reader.isOpened() else 0
    finally:
        reader.release()


def _sorry(path: Path, why: str) -> str:
    return (
        f"The recording {path} could not be saved: {why}.\n"
        f"Nothing was left behind. Free some space or choose another folder, then run the same command again."
    )
