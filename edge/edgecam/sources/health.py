"""How a reader is: its state, since when, why, and what it counted."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from edgecam.status import State

_KEPT: Final = 256  # changes that nobody asked for yet


class Health(NamedTuple):
    """One reader at one moment."""

    state: State
    since: float  # seconds since the epoch at which this state began
    detail: str  # in words: why it is so and what is being done; "" while live
    captured: int = 0  # frames that came from the source
    skipped: int = 0  # of them, those that were never taken
    lost: int = 0  # how often the source went away
    captured_at: float | None = None  # of the newest frame, seconds since the epoch
    counts_all: bool = False  # whether these are all; False: a driver or decoder may drop some unseen


class Book:
    """Keeps one reader's health; safe from any thread, and every change can be read once."""

    def __init__(self, utc: Callable[[], float]) -> None:
        self._utc = utc
        self._lock = threading.Lock()
        self._now = Health("connecting", utc(), "it is being opened")
        self._changes: deque[Health] = deque([self._now], maxlen=_KEPT)

    @property
    def now(self) -> Health:
        """The newest entry."""
        with self._lock:
            return self._now

    def changes(self) -> list[Health]:
        """Every change of state since this was last asked, oldest first."""
        with self._lock:
            changes = list(self._changes)
            self._changes.clear()
        return changes

    def turn(self, state: State, detail: str = "") -> bool:
        """Enter a state, or say more of the present one. True when the state is another one."""
        with self._lock:
            before = self._now
            if (state, detail) == (before.state, before.detail):
                return False
            changed = state != before.state
            lost = before.lost + (state == "lost" and before.state in ("live", "stalled"))
            since = self._utc() if changed else before.since
            self._now = before._replace(state=state, since=since, detail=detail, lost=lost)
            self._changes.append(self._now)
            return changed

    def gave(self, captured: int, captured_at: float | None = None) -> None:
        """The source has given so many frames, if that is more than was known; when the last was captured."""
        with self._lock:
            if captured > self._now.captured:
                at = self._now.captured_at if captured_at is None else captured_at
                self._now = self._now._replace(captured=captured, captured_at=at)
