"""A moment in time, as every document of edgecam writes it."""

from datetime import datetime, timezone


def iso(seconds: float) -> str:
    """Seconds since the epoch -> "2026-01-31T12:00:00.123Z"."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
