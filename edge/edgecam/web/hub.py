"""Everything that the server knows, in one place that the loop fills and the routes read."""

import secrets
import time
from collections import Counter
from typing import Final, TypeVar

from edgecam.decisions.event import Alarm, Event
from edgecam.documents import alarm_document, event_document
from edgecam.moment import iso
from edgecam.result import Result
from edgecam.status import CameraStatus
from edgecam.teaching.desk import Desk
from edgecam.web.about import About
from edgecam.web.board import Board
from edgecam.web.facts import Facts
from edgecam.web.limits import Places
from edgecam.web.metrics import Metrics
from edgecam.web.pictures import Pictures
from edgecam.web.pulse import Pulse
from edgecam.web.timeline import Timeline
from edgecam_engines.engine import Frame

WATCHERS: Final = 32  # streams of pictures at once
FOLLOWERS: Final = 32  # streams of events at once
MOST_FIRING: Final = 200  # alarms that are remembered while they fire

Told = TypeVar("Told", Result, Event, Alarm, CameraStatus)


class Hub:
    """The four verbs of the loop return at once; nothing here waits for a client."""

    def __init__(self, about: About, desk: Desk | None = None) -> None:
        """`desk` is where the page may teach; None: nowhere."""
        self.about, self.desk = about, desk
        self.described = 0  # how often `about` was replaced
        self.board = Board()
        self.timeline = Timeline(secrets.token_hex(4))
        self.pictures = Pictures(self.board.fps)
        self.news = Pulse()  # beats when /events has something to say
        self.watchers, self.followers = Places(WATCHERS), Places(FOLLOWERS)
        self.refused: Counter[str] = Counter()
        self.metrics = Metrics(
            self.board, self.pictures, {"pictures": self.watchers, "events": self.followers}, self.refused
        )
        if desk is not None:
            desk.listen(self.news.beat)
        self.started_at = time.time()
        self.ending = False
        self._firing: dict[tuple[str, str, str], Facts] = {}

    def result(self, frame: Frame, result: Result) -> None:
        """One answer and its frame, nothing drawn on it."""
        result = _named(result)
        self.metrics.result(result)
        self.pictures.offer(frame, result)
        height, width = frame.shape[:2]
        if self.board.result(result, (height, width)):
            self.news.beat()

    def event(self, event: Event) -> None:
        """A phase of an event."""
        event = _named(event)
        self.metrics.event(event)
        self.pictures.event(event)
        self.timeline.add("event", event_document(event))
        self.news.beat()

    def alarm(self, alarm: Alarm) -> None:
        """An alarm began or is over."""
        alarm = _named(alarm)
        self.metrics.alarm(alarm)
        told = alarm_document(alarm)
        key = alarm.rule, alarm.camera, alarm.label
        if alarm.firing and len(self._firing) < MOST_FIRING:
            self._firing[key] = told
        else:
            self._firing.pop(key, None)
        self.timeline.add("alarm", told)
        self.news.beat()

    def status(self, status: CameraStatus) -> None:
        """How a camera is."""
        self.board.status(_named(status))
        self.news.beat()

    def describe(self, about: About) -> None:
        """Another head or engine runs from now on."""
        self.about, self.described = about, self.described + 1
        self.news.beat()

    @property
    def lessons(self) -> int:
        """How often what is known about teaching has changed."""
        return 0 if self.desk is None else self.desk.changes

    def state(self) -> Facts:
        """What /api/state says."""
        stale = self.board.unhealthy()
        return {
            **self.about._asdict(),
            "started_at": iso(self.started_at),
            "now": iso(time.time()),
            "stale": stale,
            "cameras": [self.board.view(name) for name in self.board.cameras()],
            "alarms": list(self._firing.copy().values()),
            "teach": self.desk is not None,
        }

    def end(self) -> None:
        """Let everybody go who waits."""
        self.ending = True
        self.news.beat()
        self.pictures.pulse.beat()


def _named(told: Told) -> Told:
    """The same, with a camera's name that is text: a file's name may hold bytes that are none."""
    if told.camera.isascii():
        return told
    return told._replace(camera=told.camera.encode("utf-8", "backslashreplace").decode())
