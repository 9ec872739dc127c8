"""The main thread's part: decide, draw, hand to every output, and tell how the cameras are.

Here, because windows belong to the main thread, and signals reach it.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from edgecam import overlay
from edgecam.decisions.event import Alarm, Event
from edgecam.loop.answering import Seen
from edgecam.loop.lane import Lane
from edgecam.loop.rules import Rules
from edgecam.sinks.listener import Listener
from edgecam.sinks.sink import Finished, Sink
from edgecam.status import CameraStatus

RATE_OVER: Final = 30  # results that a camera's rate is measured over
TOLD_EVERY_S: Final = 1.0  # how often listeners are told of every camera


class Presenter:
    """Shows what was seen."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        rules: Rules,
        sinks: Sequence[Sink],
        listeners: Sequence[Listener],
        *,
        drawn: bool,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.frames = 0
        self._lanes, self._sinks, self._listeners, self._drawn = lanes, sinks, listeners, drawn
        self._now = now
        self._rules = {lane.name: rules for lane in lanes}
        self._times: dict[str, deque[float]] = {lane.name: deque(maxlen=RATE_OVER) for lane in lanes}
        self._skipped = {lane.name: 0 for lane in lanes}
        self._first = self._last = 0.0
        self._told = -float("inf")

    @property
    def skipped(self) -> int:
        """Frames of all cameras before their last result that nobody looked at."""
        return sum(self._skipped.values())

    @property
    def seconds(self) -> float:
        """From the first result to the last."""
        return self._last - self._first

    def present(self, seen: Seen) -> None:
        """One result, to every output. Raises Finished, OutputError."""
        self._last = self._now()
        self._first = self._first if self.frames else self._last
        self.frames += 1
        seen.lane.processed += 1
        self._skipped[seen.lane.name] = seen.result.skipped
        times = self._times[seen.lane.name]
        times.append(self._last)
        self._enforce(seen.rules, seen.lane.name)
        result = seen.result
        if (decider := seen.rules.deciders.get(seen.lane.name)) is not None:
            decided = decider.decide(seen.frame, result)
            result = decided.result
            self._tell(decided.events, decided.alarms)
        for sink in self._sinks:
            if not sink.pictures:
                sink.write(seen.frame, result)
        if self._drawn:
            overlay.draw(seen.frame, result, _rate(times))
        for sink in self._sinks:
            if sink.pictures:
                sink.write(seen.frame, result)

    def look_after(self) -> None:
        """Tell of every change of a camera's state, and of every camera once a second."""
        for lane in self._lanes:
            for status in lane.changes():
                self._turn(status)
        if self._now() - self._told >= TOLD_EVERY_S:
            self._told = self._now()
            self._tell_states()

    def finish(self) -> None:
        """No more results: end what is open, and tell the last counts. To each, whoever else is gone."""
        for lane in self._lanes:
            lane.close()
        deciders = [rules.deciders.get(camera) for camera, rules in self._rules.items()]
        ends = [event for each in deciders if each is not None for event in each.close()]
        for listener in self._listeners:
            with suppress(Finished):
                for event in ends:
                    listener.event(event)
                for lane in self._lanes:
                    listener.status(lane.status())

    def _enforce(self, rules: Rules, camera: str) -> None:
        """What was seen under earlier rules ends with them."""
        before, self._rules[camera] = self._rules[camera], rules
        if before is not rules and (decider := before.deciders.get(camera)) is not None:
            self._tell(decider.close())

    def _turn(self, status: CameraStatus) -> None:
        if status.state in ("lost", "stalled"):
            decider = self._rules[status.camera].deciders.get(status.camera)
            if decider is not None:
                self._tell(decider.lost())
        for listener in self._listeners:
            listener.status(status)

    def _tell_states(self) -> None:
        for lane in self._lanes:
            status = lane.status()
            for listener in self._listeners:
                listener.status(status)

    def _tell(self, events: Sequence[Event], alarms: Sequence[Alarm] = ()) -> None:
        for listener in self._listeners:
            for event in events:
                listener.event(event)
            for alarm in alarms:
                listener.alarm(alarm)


def _rate(times: deque[float]) -> float:
    """Frames per second over the last results; 0 for the first."""
    passed = times[-1] - times[0]
    return (len(times) - 1) / passed if passed > 0 else 0.0
