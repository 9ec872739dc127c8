"""What is known about the cameras right now. Written by the loop's thread, read by the server's."""

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from edgecam.documents import status_document
from edgecam.moment import iso
from edgecam.result import Result
from edgecam.status import CameraStatus
from edgecam.web import facts
from edgecam.web.facts import Facts
from edgecam.web.recent import Answer, Recent, Second, rate, timing

SUMMARY_S: Final = 0.1  # results are told at most this often
SILENT_S: Final = 5.0  # a status comes about once a second; after this long without, nothing is fresh


class Summary(NamedTuple):
    """A result that is told to everybody who follows; most are not, they come too fast."""

    number: int
    result: Result
    hw: tuple[int, int]  # of the frame


class Told(NamedTuple):
    """A camera's newest status."""

    number: int  # counts the statuses of this camera
    status: CameraStatus
    at: float  # monotonic


class _Camera:
    """All that is remembered of one camera."""

    def __init__(self) -> None:
        self.told: Told | None = None
        self.summary: Summary | None = None
        self.summary_at = float("-inf")
        self.newest: tuple[Result, tuple[int, int]] | None = None
        self.recent = Recent()


class Board:
    """Every method returns at once. The clocks are monotonic seconds and seconds since the epoch."""

    def __init__(
        self, now: Callable[[], float] = time.monotonic, utc: Callable[[], float] = time.time
    ) -> None:
        self.now = now
        self._utc = utc
        self._lock = threading.Lock()
        self._cameras: dict[str, _Camera] = {}

    # -- the loop's thread

    def result(self, result: Result, hw: tuple[int, int]) -> bool:
        """Remember an answer. True when it is one that followers are told."""
        now, utc = self.now(), self._utc()
        with self._lock:
            camera = self._cameras.setdefault(result.camera, _Camera())
            camera.newest = result, hw
            camera.recent.add(now, result.age_ms, utc)
            if now - camera.summary_at < SUMMARY_S:
                return False
            number = camera.summary.number + 1 if camera.summary else 1
            camera.summary, camera.summary_at = Summary(number, result, hw), now
            return True

    def status(self, status: CameraStatus) -> None:
        """Remember how a camera is."""
        with self._lock:
            camera = self._cameras.setdefault(status.camera, _Camera())
            number = camera.told.number + 1 if camera.told else 1
            camera.told = Told(number, status, self.now())

    # -- anybody

    def cameras(self) -> list[str]:
        """Names, in the order in which they were heard of."""
        with self._lock:
            return list(self._cameras)

    def told(self, name: str) -> Told | None:
        """The newest status of a camera."""
        with self._lock:
            return self._cameras[name].told

    def summary(self, name: str) -> Summary | None:
        """The newest result that followers are told."""
        with self._lock:
            return self._cameras[name].summary

    def seconds(self, name: str) -> list[Second]:
        """The last minutes of a camera, second by second."""
        with self._lock:
            return list(self._cameras[name].recent.seconds)

    def fps(self, name: str) -> float:
        """Answers a second, over the last few seconds."""
        return rate(self._answers(name), self.now())

    def stale(self, name: str) -> str:
        """In words why there is no fresh frame of a camera; "" when there is."""
        told = self.told(name)
        if told is None:
            return "nothing was heard about it yet"
        silent = self.now() - told.at
        if silent > SILENT_S:
            return f"the loop has said nothing for {silent:.0f} s"
        status = told.status
        if status.state == "live":
            return ""
        return f"{status.state} since {iso(status.since)}" + (f": {status.detail}" if status.detail else "")

    def unhealthy(self) -> dict[str, str]:
        """Each camera that has no fresh frame, and why."""
        found = {name: self.stale(name) for name in self.cameras()}
        return {name: why for name, why in found.items() if why}

    def answered(self) -> bool:
        """Whether every camera was answered at least once."""
        with self._lock:
            return bool(self._cameras) and all(camera.newest for camera in self._cameras.values())

    def view(self, name: str) -> Facts:
        """Everything about one camera, as JSON."""
        told = self.told(name)
        with self._lock:
            newest = self._cameras[name].newest
        times = timing(self._answers(name), self.now())
        return {
            "camera": name,
            "now": iso(self._utc()),  # a device's clock may be years off; a browser allows for that
            "status": status_document(told.status) if told else None,
            "stale": self.stale(name),
            "result": facts.of_result(*newest) if newest else None,
            "fps": round(times.fps, 2),
            "age_ms": times.age_ms,
            "interval_ms": times.interval_ms,
            # Complete ones; more than one, since statuses come only about once a second.
            "seconds": [second._asdict() for second in self.seconds(name)[-4:-1]],
        }

    def _answers(self, name: str) -> list[Answer]:
        with self._lock:
            return list(self._cameras[name].recent.answers)
