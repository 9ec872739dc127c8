"""Events, alarms and changes of state as messages with fields, for logs that programs read."""

from collections.abc import Callable

from edgecam.decisions.event import Alarm, Event
from edgecam.logs import Fields, Level, say
from edgecam.result import Result
from edgecam.status import CameraStatus, State
from edgecam_engines.engine import Frame

Tell = Callable[[str, Level, Fields], object]


class Journal:
    """Results, updates of events and unchanged states are left out: they would fill a disk in a month."""

    pictures = False

    def __init__(self, tell: Tell = say) -> None:
        self._tell = tell
        self._states: dict[str, State] = {}

    def write(self, frame: Frame, result: Result) -> None:
        pass

    def close(self) -> None:
        pass

    def event(self, event: Event, /) -> None:
        if event.phase == "update":
            return
        began = event.phase == "start"
        words = "begins" if began else f"is over after {event.lasted_s:.1f} s ({event.why})"
        fields: Fields = {
            "camera": event.camera,
            "event": event.id,
            "phase": event.phase,
            "label": event.label,
            "confidence": round(event.confidence, 4),
            "frames": event.frames,
            "seconds": round(event.lasted_s, 3),
            "why": event.why or None,
        }
        self._tell(f"{event.camera}: {event.label} {words}, {event.confidence * 100:.0f} %", "info", fields)

    def alarm(self, alarm: Alarm, /) -> None:
        words = (
            f"{alarm.events} events in {alarm.window_s:.0f} s, {alarm.expected:.1f} expected, p {alarm.p:.1e}"
        )
        fields: Fields = {
            "camera": alarm.camera,
            "alarm": alarm.rule,
            "label": alarm.label,
            "firing": alarm.firing,
            "events": alarm.events,
            "window_s": alarm.window_s,
            "expected": alarm.expected,
            "p": alarm.p,
        }
        level: Level = "warning" if alarm.firing else "info"
        over = "" if alarm.firing else " is over"
        self._tell(f"{alarm.camera}: alarm {alarm.rule!r}{over}: {words}", level, fields)

    def status(self, status: CameraStatus, /) -> None:
        if self._states.get(status.camera) == status.state:
            return
        self._states[status.camera] = status.state
        fields: Fields = {
            "camera": status.camera,
            "state": status.state,
            "captured": status.captured,
            "processed": status.processed,
            "skipped": status.skipped,
            "lost": status.lost,
        }
        level: Level = "warning" if status.state in {"stalled", "lost"} else "info"
        detail = f": {status.detail}" if status.detail else ""
        self._tell(f"{status.camera} is {status.state}{detail}", level, fields)
