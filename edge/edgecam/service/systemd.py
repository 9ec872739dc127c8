"""Tells systemd how the loop is, and feeds its watchdog only while that is true.

A result is a sign of life. So is a camera's state, as long as no camera is live: a lost camera is no fault of
ours. A camera that is live and brings no results is one, and then nothing is sent until systemd restarts us.
"""

import time
from collections.abc import Callable
from typing import Final

from edgecam.decisions.event import Alarm, Event
from edgecam.result import Result
from edgecam.service.notify import Notify
from edgecam.settings import RunSettings
from edgecam.status import CameraStatus
from edgecam_engines.engine import Frame

STATUS_EVERY_S: Final = 5.0
EXTENSION_S: Final = 60  # asked for while a camera is waited for before the first result
SLOWEST_CAMERA_FPS: Final = 5.0


def longest_gap_s(settings: RunSettings) -> float:
    """How long a camera that is live may bring no result. A still scene may last for ever."""
    if settings.on_motion:
        return float("inf")
    return max(settings.every / SLOWEST_CAMERA_FPS, 1 / settings.fps if settings.fps else 0.0)


class Systemd:
    """A sink and listener. Told from the main thread; sends at most a few datagrams a second."""

    pictures = False

    def __init__(
        self,
        notify: Notify,
        longest_gap_s: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`longest_gap_s` as from `longest_gap_s`: silence of a live camera that is no hang."""
        self._notify, self._now = notify, now
        self._feed_every = None if notify.watchdog_s is None else notify.watchdog_s / 2
        self._longest_gap_s = longest_gap_s
        self._ready = False
        self._results = 0
        self._alive = -float("inf")  # when a frame was last looked at
        self._fed = -float("inf")
        self._worded = -float("inf")
        self._cameras: dict[str, CameraStatus] = {}
        self._answer = ""

    def write(self, frame: Frame, result: Result) -> None:
        self._results += 1
        self._answer = f"{result.label} {result.confidence * 100:.0f} %"
        if not self._ready:
            self._ready = self._notify.tell(READY=1)
        self._alive = self._now()
        self._send()

    def status(self, status: CameraStatus, /) -> None:
        before = self._cameras.get(status.camera)
        self._cameras[status.camera] = status
        if before is None or before.state != status.state:
            self._worded = -float("inf")
        if not self._ready and status.state != "live":
            self._notify.tell(EXTEND_TIMEOUT_USEC=EXTENSION_S * 1_000_000)
        self._send()

    def event(self, event: Event, /) -> None:
        pass

    def alarm(self, alarm: Alarm, /) -> None:
        pass

    def reloading(self) -> None:
        """The settings are being read again."""
        self._notify.tell(RELOADING=1, MONOTONIC_USEC=int(self._now() * 1e6))

    def reloaded(self, words: str, longest_gap_s: float) -> None:
        """They were, or were refused; `words` say which."""
        self._longest_gap_s = longest_gap_s
        self._notify.tell(READY=1, STATUS=words)
        self._worded = self._now()

    def close(self) -> None:
        self._notify.tell(STOPPING=1, STATUS="Closing files.")
        self._notify.close()

    def _send(self) -> None:
        now = self._now()
        if now - self._worded >= STATUS_EVERY_S and self._notify.tell(STATUS=self._words()):
            self._worded = now
        if self._feed_every is None or now - self._fed < self._feed_every:
            return
        if self._is_well(now, self._feed_every) and self._notify.tell(WATCHDOG=1):
            self._fed = now

    def _is_well(self, now: float, patience: float) -> bool:
        if now - self._alive <= max(patience, self._longest_gap_s):
            return True
        states = [status.state for status in self._cameras.values()]
        return bool(states) and "live" not in states

    def _words(self) -> str:
        cameras = [
            f"{status.camera} {status.state}" + (f" ({status.detail})" if status.detail else "")
            for status in self._cameras.values()
        ]
        return ", ".join([*cameras, f"{self._results} results", *([self._answer] if self._answer else [])])
