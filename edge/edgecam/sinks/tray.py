"""A tray of hard frames for somebody to label: FOLDER/unlabelled/*.jpg, and beside each what was said of it.

To label one, move its photo into DATA/CLASS/, where `edgecam train` finds it, and leave the .json behind.
What was moved out of `unlabelled` is never touched again.
"""

import json
import os
import queue
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np

from edgecam.decisions.hard import CELLS, Doubt, HardFrames, Thumbnail, was_outlier
from edgecam.moment import iso
from edgecam.result import Result
from edgecam.sinks.tray_quota import make_room
from edgecam_engines.engine import Frame
from edgecam_engines.errors import OutputError
from edgecam_engines.files import write_atomically

UNLABELLED: Final = "unlabelled"
QUALITY: Final = 92  # of the JPEG, as cameras and phones choose it
WAITING: Final = 4  # frames at most that wait for the disk
JOIN_S: Final = 10.0  # longest that the disk may take over the last ones


class Hard(NamedTuple):
    """A frame that was found hard."""

    frame: Frame
    result: Result
    doubt: Doubt


class Tray:
    """A sink that must be given frames before anything is drawn on them. Writes on a thread of its own.

    A full disk or queue costs photos, which are counted, and never holds the loop up.
    """

    pictures = False

    def __init__(self, folder: Path, *, quota_mb: float, say: Callable[[str], None]) -> None:
        """`say` is called from both threads. Raises OutputError."""
        self.saved, self.dropped, self.failed = 0, 0, 0
        self._folder = folder / UNLABELLED
        self._quota, self._say = int(quota_mb * 1e6), say
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
        one = Hard(frame, result, doubt)
        if doubt.why == ("disagreement",):
            self._contradicted.setdefault(result.camera, one._replace(frame=frame.copy()))
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


def save(hard: Hard, folder: Path, quota: int) -> None:
    """Write a photo and its .json, all or nothing. Raises OutputError, OSError."""
    photo = cv2.imencode(".jpg", hard.frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    name = _name(hard.result)
    about = json.dumps(_about(hard, f"{name}.jpg"), indent=2, ensure_ascii=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)  # somebody may have emptied the tray, folder and all
    make_room(folder, len(photo) + len(about.encode()), quota)
    # The photo comes last, so one that is there has its file beside it.
    sidecar = folder / f"{name}.json"
    write_atomically(sidecar, about)
    try:
        write_atomically(folder / f"{name}.jpg", photo)
    except OutputError:
        sidecar.unlink(missing_ok=True)
        raise


def _about(hard: Hard, photo: str) -> dict[str, Any]:
    """What a labeller may want to know. All probabilities are the frame's own."""
    result = hard.result
    probabilities = np.asarray(result.probabilities, dtype=np.float64).round(6).tolist()
    return {
        "schema": 1,
        "photo": photo,
        "camera": result.camera,
        "captured_at": iso(result.captured_at),
        "frame": result.frame,
        "why": list(hard.doubt.why),
        "label": result.label,
        "frame_label": result.frame_label or result.label,
        "margin": round(hard.doubt.margin, 6),
        "probabilities": dict(zip(result.classes, probabilities, strict=True)),
    }


def thumbnail(frame: Frame) -> Thumbnail:
    """A frame (h, w, 3) as a few grey cells. Of a large one, some pixels speak for their neighbours."""
    step = max(1, min(frame.shape[:2]) // (8 * CELLS))
    few = np.ascontiguousarray(frame[::step, ::step])
    cells = cv2.resize(few, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(cells, cv2.COLOR_BGR2GRAY).astype(np.float32)


def _name(result: Result) -> str:
    """Sorts by time. Nothing of a camera's name but letters and digits gets into it."""
    camera = re.sub(r"[^A-Za-z0-9]+", "-", result.camera).strip("-")[:40]
    moment = iso(result.captured_at).replace(":", "")
    return "-".join(part for part in (moment, camera, str(result.frame)) if part)


def _check(folder: Path) -> None:
    """What can be known before the first frame. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        why = "" if os.access(folder, os.W_OK | os.X_OK) else "you may not write there"
    except OSError as error:
        why = error.strerror or str(error)
    if why:
        raise OutputError(f"The tray {folder} cannot be used: {why}.\nChoose another folder: --tray FOLDER")
