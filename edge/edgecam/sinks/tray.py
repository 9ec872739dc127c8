"""A tray of hard frames for somebody to label: FOLDER/unlabelled/*.jpg, and beside each what was said of it.

To label one, move its photo into DATA/CLASS/, where `edgecam train` finds it, and leave the .json behind.
What was moved out of `unlabelled` is never touched again.
"""

import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgecam.decisions.hard import CELLS, HardFrames, Thumbnail, was_outlier
from edgecam.result import Result
from edgecam.sinks.tray_photo import Hard, save
from edgecam_engines.engine import Frame
from edgecam_engines.errors import OutputError

UNLABELLED: Final = "unlabelled"
WAITING: Final = 4  # frames at most that wait for the disk
JOIN_S: Final = 10.0  # longest that the disk may take over the last ones


class Tray:
    """A sink that must be given frames before anything is drawn on them. Writes on a thread of its own.

    A full disk or queue costs photos, which are counted, and never holds the loop up.
    """

    pictures = False

    def __init__(
        self,
        folder: Path,
        *,
        quota_mb: float,
        say: Callable[[str], None],
        view: Callable[[Frame], Frame] = lambda frame: frame,
    ) -> None:
        """`view` gives the part of a frame that the engine sees; `say` is called from both threads.

        Raises OutputError.
        """
        self.saved, self.dropped, self.failed = 0, 0, 0
        self._folder = folder / UNLABELLED
        self._quota, self._say, self._view = int(quota_mb * 1e6), say, view
        self._cameras: dict[str, HardFrames] = {}
        self._contradicted: dict[str, Hard] = {}  # by camera: not yet known to be an outlier
        self._queue: queue.Queue[Hard | None] = queue.Queue(WAITING)
        _check(self._folder)
        self._thread = threading.Thread(target=self._work, name="edgecam-tray", daemon=True)
        self._thread.start()

    def write(self, frame: Frame, result: Result) -> None:
        hard = self._cameras.setdefault(result.camera, HardFrames())
        doubt = hard.doubt(result)
        before = self._contradicted.get(result.camera)
        if before is not None and (outlier := was_outlier(before.result, result)) is not None:
            del self._contradicted[result.camera]
            if outlier:
                self._keep(hard, before)
        if doubt is None:
            return
        one = Hard(self._view(frame), result, doubt)
        if doubt.why == ("disagreement",):
            self._contradicted.setdefault(result.camera, one._replace(frame=one.frame.copy()))
        else:
            self._keep(hard, one)

    def _keep(self, hard: HardFrames, one: Hard) -> None:
        if self._queue.full():  # before it is marked as kept, so that the next one like it has its chance
            self.dropped += 1
        elif hard.keep(one.doubt, thumbnail(one.frame)):
            self._queue.put_nowait(one._replace(frame=one.frame.copy()))

    def close(self) -> None:
        """Wait for what is still to be written, but not for ever. Says what did not get there."""
        if not self._thread.is_alive():
            return
        try:
            self._queue.put(None, timeout=JOIN_S)
        except queue.Full:
            self._say(f"The disk of {self._folder} does not answer; hard frames are missing there.")
            return
        self._thread.join(JOIN_S)
        if self.dropped or self.failed:
            self._say(
                f"{self._folder}: {self.saved} hard frames saved, {self.failed} could not be written, "
                f"{self.dropped} came faster than the disk takes them."
            )

    def _work(self) -> None:
        while (hard := self._queue.get()) is not None:
            try:
                save(hard, self._folder, self._quota)
                self.saved += 1
            except (OutputError, OSError) as error:
                self.failed += 1
                if self.failed == 1:
                    self._say(f"A hard frame is not saved: {str(error).splitlines()[0]} The loop goes on.")


def thumbnail(frame: Frame) -> Thumbnail:
    """A frame (h, w, 3) as a few grey cells. Of a large one, some pixels speak for their neighbours."""
    step = max(1, min(frame.shape[:2]) // (8 * CELLS))
    few = np.ascontiguousarray(frame[::step, ::step])
    cells = cv2.resize(few, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(cells, cv2.COLOR_BGR2GRAY).astype(np.float32)


def _check(folder: Path) -> None:
    """What can be known before the first frame. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        why = "" if os.access(folder, os.W_OK | os.X_OK) else "you may not write there"
    except OSError as error:
        why = error.strerror or str(error)
    if why:
        raise OutputError(f"The tray {folder} cannot be used: {why}.\nChoose another folder: --tray FOLDER")
