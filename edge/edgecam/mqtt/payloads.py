"""What is said on the topics, as JSON. Times are UTC in ISO 8601; boxes are frame pixels, half-open."""

import json
from datetime import datetime, timezone
from typing import Any

from edgecam.decisions.event import Alarm, Event
from edgecam.result import Result, as_json
from edgecam.status import CameraStatus
from edgecam_engines.geometry import Box


def encode(document: dict[str, Any]) -> bytes:
    """One JSON document."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def utc(seconds: float) -> str:
    """Seconds since the epoch, to the millisecond."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event_document(event: Event, seq: int) -> dict[str, Any]:
    """`id`, `phase` and `seq` together name a message: one that comes twice is the same in all three."""
    best = event.best
    return {
        "id": event.id,
        "phase": event.phase,
        "seq": seq,
        "camera": event.camera,
        "label": event.label,
        "confidence": round(event.confidence, 4),
        "started_at": utc(event.started_at),
        "seen_at": utc(event.seen_at),
        "frames": event.frames,
        "best": {
            "frame": best.number,
            "captured_at": utc(best.captured_at),
            "confidence": round(best.confidence, 4),
            "box": _box(best.box),
        },
        "why": event.why,
    }


def alarm_document(alarm: Alarm, seq: int) -> dict[str, Any]:
    """A rate alarm that begins (`firing` is true) or is over."""
    return {
        "rule": alarm.rule,
        "seq": seq,
        "camera": alarm.camera,
        "label": alarm.label,
        "at": utc(alarm.at),
        "firing": alarm.firing,
        "events": alarm.events,
        "window_s": alarm.window_s,
        "expected": alarm.expected,
        "p": alarm.p,
    }


def status_document(status: CameraStatus) -> dict[str, Any]:
    """Every field of the status; times in words."""
    captured_at = None if status.captured_at is None else utc(status.captured_at)
    return {**status._asdict(), "since": utc(status.since), "captured_at": captured_at}


def result_document(result: Result) -> dict[str, Any]:
    """The same line as on stdout, with the camera."""
    return {"camera": result.camera, **as_json(result)}


def _box(box: Box | None) -> list[int] | None:
    return None if box is None else list(box)
