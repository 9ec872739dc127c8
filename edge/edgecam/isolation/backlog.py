"""Frames that waited in a buffer while their reader was stopped are old, though they have just arrived.

Where the driver gives no time stamp, nothing else tells them from new ones.
"""

from typing import Final

PAUSE_S: Final = 1.0  # without a frame for so long, something may have piled up
PAUSE_FRAMES: Final = 3.0  # or for so many usual intervals
LONGEST_S: Final = 1.0  # a reader too slow for its source never waits: then this must do
_WEIGHT: Final = 0.1  # of the newest interval in the usual one


class Backlog:
    """After a pause, frames count again once one had to be waited for: then nothing is left in the buffer."""

    def __init__(self) -> None:
        self._before: float | None = None
        self._usual_s: float | None = None
        self._until: float | None = None  # while it empties

    def fresh(self, asked: float, got: float) -> bool:
        """Whether a frame is new that was asked for and came at these times, in seconds on one clock."""
        before, self._before = self._before, got
        if before is None:
            return True
        interval = got - before
        if self._usual_s is None:
            self._usual_s = interval
        if interval > max(PAUSE_S, PAUSE_FRAMES * self._usual_s):
            self._until = got + LONGEST_S
            return False
        if self._until is not None and got < self._until and got - asked < self._usual_s / 2:
            return False
        self._until = None
        self._usual_s += _WEIGHT * (interval - self._usual_s)
        return True
