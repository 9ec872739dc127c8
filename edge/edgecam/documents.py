"""Events, alarms and cameras as JSON: one form each, for JSON lines, MQTT and the web page alike.

docs/events.md says what every field means and in which unit. Whoever adds to a document for its own medium
(MQTT a `seq`, a line `skip_check`) changes nothing of what is here.
"""

from typing import Any

from edgecam.decisions.event import Alarm, Event
from edgecam.moment import iso
from edgecam.status import CameraStatus

Document = dict[str, Any]


def event_document(event: Event) -> Document:
    """One phase of an event; `why` is null until the end. Its pictures stay out."""
    best = event.best
    height, width = best.frame.shape[:2]
    return {
        "type": "event",
        "id": event.id,
        "camera": event.camera,
        "label": event.label,
        "phase": event.phase,
        "why": event.why or None,
        "started_at": iso(event.started_at),
        "seen_at": iso(event.seen_at),
        "lasted_s": round(event.lasted_s, 3),
        "frames": event.frames,
        "confidence": round(event.confidence, 4),
        "best": {
            "frame": best.number,
            "captured_at": iso(best.captured_at),
            "confidence": round(best.confidence, 4),
            "box": None if best.box is None else list(best.box),
            "size": [width, height],
        },
    }


def alarm_document(alarm: Alarm) -> Document:
    """A rate alarm that begins (`firing`) or is over."""
    return {"type": "alarm", **alarm._asdict(), "at": iso(alarm.at)}


def status_document(status: CameraStatus) -> Document:
    """How a camera is; `captured_at` is null before its first frame."""
    captured_at = None if status.captured_at is None else iso(status.captured_at)
    return {"type": "camera", **status._asdict(), "since": iso(status.since), "captured_at": captured_at}
