"""Tells systemd how the loop is, and feeds its watchdog only while that is true.

An answer is a sign of life. So is a camera's state, as long as no camera is live: a lost camera is no fault
of ours. A camera that is live and brings no answers is one: then nothing is sent, and systemd restarts us.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from edgecam.service.notify import Notify
from edgecam.settings import RunSettings
from edgecam.status import CameraStatus, State

LOOK_EVERY_S: Final = 0.2
STATUS_EVERY_S: Final = 5.0
EXTENSION_S: Final = 60  # asked for while a camera is waited for before the first answer
EXTEND_EVERY_S: Final = 10.0
SLOWEST_CAMERA_FPS: Final = 5.0
NEVER: Final = -float("inf")


def longest_gap_s(settings: RunSettings) -> float:
    """How long a camera that is live may bring no answer by its settings."""
    return max(settings.every / SLOWEST_CAMERA_FPS, 1 / settings.fps if settings.fps else 0.0)


class Systemd:
    """Looks at the cameras' counts from the main thread; sends at most a few datagrams a second."""

    def __init__(
        self, notify: Notify, longest_gap_s: float = 0.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        """`longest_gap_s`: silence of a live camera that is no hang; see the function of this name."""
        self._notify, self._now, self._longest_gap_s = notify, now, longest_gap_s
        self._feed_every = None if notify.watchdog_s is None else notify.watchdog_s / 2
        self._ready = False
        self._looked = self._fed = self._worded = self._extended = NEVER
        self._alive = NEVER  # when a frame was last answered, or passed over as still
        self._progress = 0
        self._states: list[State] = []
        self._owed: deque[dict[str, str | int]] = deque()  # what systemd must hear, in order

    def look(self, statuses: Callable[[], Sequence[CameraStatus]]) -> None:
        """To be called between frames, and while none come; asks for the states a few times a second."""
        now = self._now()
        if not self._notify.wanted or now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        cameras = statuses()
        progress = sum(camera.processed + camera.still for camera in cameras)
        if progress > self._progress:
            self._progress, self._alive = progress, now
        self._tell_ready(cameras, now)
        self._pay()
        self._tell_words(cameras, now)
        self._feed(cameras, now)

    def reloading(self) -> None:
        """The settings are being read again."""
        self._owed.append({"RELOADING": 1, "MONOTONIC_USEC": int(self._now() * 1e6)})
        self._pay()

    def reloaded(self, words: str, longest_gap_s: float) -> None:
        """They were, or were refused; `words` say which."""
        self._longest_gap_s = longest_gap_s
        self._owed.append({"READY": 1, "STATUS": words})
        self._pay()
        self._worded = self._now()

    def close(self) -> None:
        """The loop has ended. Safe to call twice."""
        self._notify.tell(STOPPING=1)
        self._notify.close()

    def _pay(self) -> None:
        """Send what is owed; what finds a full queue is sent again at the next look."""
        while self._notify.wanted and self._owed and self._notify.tell(**self._owed[0]):
            self._owed.popleft()

    def _tell_ready(self, cameras: Sequence[CameraStatus], now: float) -> None:
        if self._ready:
            return
        if any(camera.processed for camera in cameras):
            self._ready = True
            self._owed.append({"READY": 1})
        elif _none_live(cameras) and now - self._extended >= EXTEND_EVERY_S:
            self._extended = now
            self._notify.tell(EXTEND_TIMEOUT_USEC=EXTENSION_S * 1_000_000)

    def _tell_words(self, cameras: Sequence[CameraStatus], now: float) -> None:
        states = [camera.state for camera in cameras]
        due = now - self._worded >= STATUS_EVERY_S or states != self._states
        if due and self._notify.tell(STATUS=", ".join(map(_in_words, cameras))):
            self._worded, self._states = now, states

    def _feed(self, cameras: Sequence[CameraStatus], now: float) -> None:
        if self._feed_every is None or now - self._fed < self._feed_every:
            return
        well = now - self._alive <= max(self._feed_every, self._longest_gap_s) or _none_live(cameras)
        if well and self._notify.tell(WATCHDOG=1):
            self._fed = now


def _none_live(cameras: Sequence[CameraStatus]) -> bool:
    return bool(cameras) and all(camera.state != "live" for camera in cameras)


def _in_words(camera: CameraStatus) -> str:
    why = f" ({camera.detail})" if camera.detail else ""
    return f"{camera.camera} {camera.state}{why}: {camera.processed} answered, {camera.skipped} skipped"
