"""Frames for those who watch: newest only, encoded once for all of them, in a thread of its own.

The loop hands over a copy, and only while somebody watches (else one a second, for a snapshot of a camera
that is answered rarely). A viewer who is slow misses pictures; nothing is queued for anybody.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from edgecam.decisions.event import Event
from edgecam.result import Result
from edgecam.web import jpeg
from edgecam.web.jpeg import Variant
from edgecam.web.pulse import Pulse
from edgecam.web.thumbnails import Thumbnails
from edgecam_engines.engine import Frame

STREAM_FPS: Final = 15.0  # pictures a second that viewers get at most
KEPT_S: Final = 1.0  # between copies while nobody watches
WATCHED_S: Final = 2.0  # somebody who asked watches for this long
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
    at: float


class _Feed:
    """One camera's newest frame, and who wants it how."""

    def __init__(self) -> None:
        self.taken: _Taken | None = None
        self.wanted: dict[Variant, float] = {}  # when it was last asked for, monotonic
        self.ready: dict[Variant, Picture] = {}

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
            before = feed.taken
            if before is not None and now - before.at < (self._least_s if feed.watched(now) else KEPT_S):
                return
        taken = _Taken(before.number + 1 if before else 1, frame.copy(), result, now)
        with self._changed:
            feed.taken = taken
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
            return feed.taken.number if feed and feed.taken else 0

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
        while self._work_once():
            self.pulse.beat()

    def _work_once(self) -> bool:
        with self._changed:
            self._changed.wait_for(self._due)
            if self._ending:
                return False
            now = self._now()
            jobs = [(feed, feed.taken, feed.missing(now)) for feed in self._feeds.values()]
        self.thumbnails.make_one()
        for feed, taken, variants in jobs:
            if taken is not None and variants:
                self._encode(feed, taken, variants)
        return True

    def _due(self) -> bool:
        now = self._now()
        return self._ending or self.thumbnails.asked > 0 or any(f.missing(now) for f in self._feeds.values())

    def _encode(self, feed: _Feed, taken: _Taken, variants: list[Variant]) -> None:
        for variant in variants:
            data = jpeg.encode(taken.frame, taken.result, variant, self._fps(taken.result.camera))
            height, width = taken.frame.shape[:2]
            with self._changed:
                feed.ready[variant] = Picture(taken.number, data, taken.result, (height, width))
                self.encodes += 1
