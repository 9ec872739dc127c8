"""What is told as JSON: results, events, alarms and cameras, with the same names everywhere."""

from datetime import datetime, timezone
from typing import Any

from edgecam.decisions.event import Alarm, Event
from edgecam.result import Result, as_json
from edgecam.status import CameraStatus

Facts = dict[str, Any]


def iso(seconds: float) -> str:
    """Seconds since the epoch in UTC, as in the JSON lines."""
    at = datetime.fromtimestamp(seconds, timezone.utc)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def of_result(result: Result, hw: tuple[int, int]) -> Facts:
    """One answer; `size` is width and height of the frame that the box lies in."""
    return {"camera": result.camera, **as_json(result), "size": [hw[1], hw[0]]}


def of_event(event: Event) -> Facts:
    """One phase of an event. Its picture is at /thumbnail.jpg?event=ID."""
    best = event.best
    return {
        "id": event.id,
        "camera": event.camera,
        "label": event.label,
        "phase": event.phase,
        "started_at": iso(event.started_at),
        "seen_at": iso(event.seen_at),
        "frames": event.frames,
        "confidence": round(event.confidence, 4),
        "why": event.why,
        "best": {
            "frame": best.number,
            "captured_at": iso(best.captured_at),
            "confidence": round(best.confidence, 4),
            "box": None if best.box is None else list(best.box),
            "size": [best.frame.shape[1], best.frame.shape[0]],
        },
    }


def of_alarm(alarm: Alarm) -> Facts:
    """A rate alarm that began or is over."""
    return {**alarm._asdict(), "at": iso(alarm.at)}


def of_status(status: CameraStatus) -> Facts:
    """How a camera is."""
    captured = None if status.captured_at is None else iso(status.captured_at)
    return {**status._asdict(), "since": iso(status.since), "captured_at": captured}
