"""Frames for those who watch: newest only, encoded once for all of them, in a thread of its own.

The loop hands over a copy, and only while somebody watches (else one a second, for a snapshot of a camera
that is answered rarely). A viewer who is slow misses pictures; nothing is queued for anybody.
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import cv2

from edgecam.decisions.event import Event
from edgecam.result import Result
from edgecam.threads import step_back
from edgecam.web import jpeg
from edgecam.web.jpeg import Variant
from edgecam.web.pulse import Pulse
from edgecam.web.thumbnails import Thumbnails
from edgecam_engines.engine import Frame

STREAM_FPS: Final = 15.0  # pictures a second that viewers get at most
KEPT_S: Final = 1.0  # between copies while nobody watches
WATCHED_S: Final = 2.0  # somebody who asked watches for this long
# A machine with no time to spare takes longer to encode, and is then asked less often: the loop comes first.
YIELD: Final = 4.0
JOIN_S: Final = 5.0


class Picture(NamedTuple):
    """One frame, ready to be sent."""

    number: int  # counts the frames of this camera that were handed over
    jpeg: bytes
    result: Result
    hw: tuple[int, int]  # of the frame


class _Taken(NamedTuple):
    number: int
    frame: Frame
    result: Result
    at: float  # monotonic


class _Feed:
    """One camera's newest frame, and who wants it how."""

    def __init__(self) -> None:
        self.count = 0  # frames that were taken
        self.taken: _Taken | None = None  # the newest
        self.taken_at = float("-inf")  # monotonic
        self.wanted: dict[Variant, float] = {}  # when it was last asked for, monotonic
        self.ready: dict[Variant, Picture] = {}
        self.took_s = 0.0  # from the newest frame's arrival until it was encoded

    def pause(self, now: float, least_s: float) -> float:
        """Seconds between two frames that are taken."""
        return max(least_s, YIELD * self.took_s) if self.watched(now) else KEPT_S

    def watched(self, now: float) -> list[Variant]:
        return [variant for variant, at in self.wanted.items() if now - at <= WATCHED_S]

    def missing(self, now: float) -> list[Variant]:
        """Variants of the newest frame that somebody wants and nobody has encoded."""
        if self.taken is None:
            return []
        return [
            variant
            for variant in self.watched(now)
            if variant not in self.ready or self.ready[variant].number < self.taken.number
        ]


class Pictures:
    """`offer` belongs to the loop's thread, `want` and `newest` to the server's."""

    def __init__(
        self,
        fps: Callable[[str], float],
        now: Callable[[], float] = time.monotonic,
        most_fps: float = STREAM_FPS,
    ) -> None:
        """`fps` gives the loop's rate for a camera, which is drawn on the overlay."""
        self.pulse = Pulse()  # beats when a picture is ready
        self.thumbnails = Thumbnails()
        self.encodes = 0
        self.failures = 0  # frames that could not be encoded; the next one is tried
        self._fps, self._now = fps, now
        self._least_s = 0.9 / most_fps  # a little less than the interval, since frames come when they come
        self._changed = threading.Condition()
        self._feeds: dict[str, _Feed] = {}
        self._ending = False
        self._thread = threading.Thread(target=self._work, name="edgecam-jpeg", daemon=True)
        self._thread.start()

    def offer(self, frame: Frame, result: Result) -> None:
        """Take a frame that nothing is drawn on, if somebody wants it. It is copied, never kept."""
        now = self._now()
        with self._changed:
            feed = self._feeds.setdefault(result.camera, _Feed())
            if now - feed.taken_at < feed.pause(now, self._least_s):
                return
        copy = frame.copy()
        with self._changed:
            feed.count += 1
            feed.taken, feed.taken_at = _Taken(feed.count, copy, result, now), now
            self._changed.notify()

    def event(self, event: Event) -> None:
        """Have the event's best frame made small."""
        with self._changed:
            self.thumbnails.ask(event)
            self._changed.notify()

    def want(self, camera: str, variant: Variant) -> None:
        """Somebody watches; say so again at least every second."""
        now = self._now()
        with self._changed:
            feed = self._feeds.setdefault(camera, _Feed())
            feed.wanted[variant] = now
            if feed.missing(now):
                self._changed.notify()

    def taken(self, camera: str) -> int:
        """Number of the newest frame that was handed over; 0 for none."""
        with self._changed:
            feed = self._feeds.get(camera)
            return feed.count if feed else 0

    def newest(self, camera: str, variant: Variant) -> Picture | None:
        """The newest picture there is, however old."""
        with self._changed:
            feed = self._feeds.get(camera)
            return feed.ready.get(variant) if feed else None

    def close(self) -> None:
        """End the thread. Safe to call twice."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(JOIN_S)

    def _work(self) -> None:
        step_back()
        while self._work_once():
            self.pulse.beat()

    def _work_once(self) -> bool:
        with self._changed:
            self._changed.wait_for(self._due)
            if self._ending:
                return False
            now = self._now()
            jobs = [(feed, feed.taken, feed.missing(now)) for feed in self._feeds.values()]
        self._try(self.thumbnails.make_one)
        for feed, taken, variants in jobs:
            if taken is not None and variants and not self._try(partial(self._encode, feed, taken, variants)):
                self._forget(feed, taken)
        return True

    def _try(self, work: Callable[[], None]) -> bool:
        # A month is long: one frame that does not fit into memory must not end all pictures after it.
        try:
            work()
        except (cv2.error, MemoryError, ValueError):
            self.failures += 1
            return False
        return True

    def _forget(self, feed: _Feed, taken: _Taken) -> None:
        with self._changed:
            if feed.taken is taken:
                feed.taken = None

    def _due(self) -> bool:
        now = self._now()
        return self._ending or self.thumbnails.asked > 0 or any(f.missing(now) for f in self._feeds.values())

    def _encode(self, feed: _Feed, taken: _Taken, variants: list[Variant]) -> None:
        for variant in variants:
            data = jpeg.encode(taken.frame, taken.result, variant, self._fps(taken.result.camera))
            height, width = taken.frame.shape[:2]
            with self._changed:
                feed.ready[variant] = Picture(taken.number, data, taken.result, (height, width))
                feed.took_s = min(KEPT_S / YIELD, self._now() - taken.at)
                self.encodes += 1
