"""Segments in a folder: all of the time, or around events alone. A sink and a listener."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from edgecam.decisions.event import Alarm, Event
from edgecam.recorder.encoder import OpenCVEncoder, OpenEncoder
from edgecam.recorder.moment import moment_of
from edgecam.recorder.recorder import Plan, Recorder
from edgecam.result import Result
from edgecam.sinks.background import Background
from edgecam.status import CameraStatus
from edgecam_engines.engine import Frame


class RecordingFolder:
    """Hands everything to a thread of its own. Raises OutputError if the folder cannot be had."""

    pictures = True

    def __init__(
        self,
        path: Path,
        plan: Plan,
        say: Callable[[str], None],
        *,
        open_encoder: OpenEncoder = OpenCVEncoder,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say, self._path = say, path
        self._recorder = Recorder(path, plan, open_encoder, say, now=now)
        self._background = Background("edgecam-record", wait=not plan.live, rest=self._recorder.rest)
        self._away: set[str] = set()  # cameras that are lost
        self._closed = False

    @property
    def lost(self) -> int:
        """Frames that should have been recorded and were not, for whatever reason."""
        return self._background.dropped + self._recorder.lost

    def write(self, frame: Frame, result: Result) -> None:
        # A copy, since whoever lent the frame may use its memory again.
        self._background.put(
            lambda: partial(self._recorder.frame, frame.copy(), result.camera, result.captured_at),
            frame.nbytes,
        )

    def event(self, event: Event, /) -> None:
        moment = moment_of(event)
        if moment is not None:
            self._background.put(lambda: partial(self._recorder.moment, moment), 0)

    def alarm(self, alarm: Alarm, /) -> None:
        pass

    def status(self, status: CameraStatus, /) -> None:
        if status.state != "lost":
            self._away.discard(status.camera)
        elif status.camera not in self._away:
            self._away.add(status.camera)
            self._background.put(lambda: partial(self._recorder.end_segment, status.camera), 0)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._background.put(lambda: self._recorder.close, 0)
        ended = self._background.close()
        words = [f"{self.lost} frames were not recorded"] if self.lost else []
        if not ended:
            words.append("the disk does not answer, so the last segment is completed at the next start")
        if words:
            self._say(f"{self._path}: {'; '.join(words)}.")
