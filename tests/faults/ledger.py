"""A witness of events and alarms as well, and a calendar that somebody keeps setting."""

import random
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from edgecam.decisions.event import Alarm, Event
from edgecam_engines.head import Head
from faults.witness import Witness

# Scripted frames become brighter over 251 of them: at 200 a second one begins to be bright every 1.25 s.
BRIGHTNESS: Final = Head(
    np.array([[0, 0, 0], [20, 20, 20]], np.float32), np.array([0, -30], np.float32), ("dark", "bright")
)
FIRES: Final = "bright > 1/min in 1min @ p<0.05"  # within seconds, and then it is never over
SILENT: Final = "bright > 9/s in 20s @ p<0.05"  # no camera is as fast
STEPS_S: Final = (0.3, 2.0, 45.0, 3600.0, 86400.0 * 365)


class Calendar:
    """The time of day as the program sees it. Nobody sets the machine's."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead_s

    def step(self, rng: random.Random) -> None:
        """As when NTP reaches a board that woke up at another time, or a person types; either way."""
        self._ahead_s = rng.choice((-1, 1)) * rng.choice(STEPS_S) * rng.uniform(0.5, 1.0)


class _Going(NamedTuple):
    event: Event
    began: float  # when it was told, on the monotonic clock


class Ledger(Witness):
    """Every event begins and ends once and lasts no longer than the world, and alarms are true."""

    def __init__(
        self, done: Callable[[Witness], bool], oldest_s: float = 1.0, keep: int | None = None
    ) -> None:
        super().__init__(done, oldest_s, keep)
        self.going: dict[str, _Going] = {}  # by camera
        self.lives = 0  # events that began and ended
        self.fired = 0
        self._newest: dict[str, str] = {}  # ids, by camera

    def event(self, event: Event, /) -> None:
        now, before = time.monotonic(), self.going.get(event.camera)
        assert event.label == "bright"
        if event.phase == "start":
            assert before is None, "one event at a time"
            assert event.id > self._newest.get(event.camera, ""), "names sort by time, whatever the calendar"
            self._newest[event.camera] = event.id
            before = _Going(event, now)
        assert before is not None, "what goes on or ends has begun"
        assert event.id == before.event.id
        assert event.frames >= before.event.frames
        # Its first frame was captured before it was told.
        assert before.event.lasted_s <= event.lasted_s <= now - before.began + self._oldest_s
        self.going[event.camera] = _Going(event, before.began)
        if event.phase == "end":
            del self.going[event.camera]
            self.lives += 1

    def alarm(self, alarm: Alarm, /) -> None:
        assert alarm.rule == FIRES, "faster than any camera"
        assert alarm.firing, "a window forgot what lay in it"
        self.fired += 1
