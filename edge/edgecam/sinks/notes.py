"""What a person sees who has neither a window nor JSON: a line when the answer changes, events, alarms."""

import time
from collections.abc import Callable
from typing import Final

from edgecam.decisions.event import Alarm, Event
from edgecam.result import Result
from edgecam.status import CameraStatus
from edgecam_engines.engine import Frame

EVERY_S: Final = 1.0  # at most one line in this time
AT_LEAST_S: Final = 10.0  # a line even when nothing changes, as a sign of life
_ENDS: Final = {"gone": "is over", "camera lost": "ended: the camera was lost", "stopped": "was still there"}


class Notes:
    """Says label, confidence and age, when the label changes and now and then; every start, end and alarm.

    Of how cameras are it says nothing: whoever reads them says that as it happens.
    """

    pictures = False

    def __init__(
        self, say: Callable[[str], None], now: Callable[[], float] = time.monotonic, *, named: bool = False
    ) -> None:
        """`named`: say which camera, as is needed where there are several."""
        self._say, self._now, self._named = say, now, named
        self._said: dict[str, tuple[str, float]] = {}  # by camera

    def write(self, frame: Frame, result: Result) -> None:
        now = self._now()
        if result.camera in self._said:
            label, at = self._said[result.camera]
            if now - at < (EVERY_S if result.label != label else AT_LEAST_S):
                return
        self._said[result.camera] = result.label, now
        self._say(
            f"{self._at(result.camera)}frame {result.frame}: {result.label} {result.confidence * 100:.0f} %, "
            f"age {result.age_ms:.0f} ms, {result.skipped} skipped"
        )

    def event(self, event: Event) -> None:
        if event.phase != "update":
            self._say(self._at(event.camera) + event_in_words(event))

    def alarm(self, alarm: Alarm) -> None:
        self._say(self._at(alarm.camera) + alarm_in_words(alarm))

    def status(self, status: CameraStatus) -> None:
        pass

    def close(self) -> None:
        pass

    def _at(self, camera: str) -> str:
        return f"{camera}: " if self._named else ""


def event_in_words(event: Event) -> str:
    """One line about a start or an end."""
    best = f"{event.best.confidence * 100:.0f} % in frame {event.best.number}"
    if event.phase != "end":
        return f"{event.label} since {_clock(event.started_at)} ({best})"
    return (
        f"{event.label} {_ENDS.get(event.why, event.why)}, after {_duration(event.lasted_s)} "
        f"({event.frames} frames, best {best})"
    )


def alarm_in_words(alarm: Alarm) -> str:
    """One line about an alarm that begins or is over."""
    counted = f"{alarm.events} times in {_duration(alarm.window_s)}, {alarm.expected:.3g} expected"
    if not alarm.firing:
        return f"The alarm is over: {alarm.label} {counted}. Rule: {alarm.rule}"
    return f"ALARM: {alarm.label} {counted}; so many by chance: p = {alarm.p:.2g}. Rule: {alarm.rule}"


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _duration(seconds: float) -> str:
    """The largest unit of which there are at least two."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.1f} s"
