"""An event's start or end, without its pictures: it may have to wait, and memory is bounded."""

from typing import NamedTuple

from edgecam.decisions.event import Event


class Moment(NamedTuple):
    """What a recording must know of an event."""

    id: str
    camera: str
    label: str
    starts: bool  # else it ends
    at: float  # captured_at of its first frame, or of the last that showed it


def moment_of(event: Event) -> Moment | None:
    """None for an update."""
    if event.phase == "update":
        return None
    starts = event.phase == "start"
    return Moment(event.id, event.camera, event.label, starts, event.started_at if starts else event.seen_at)
