"""Frames that waited in a buffer while their reader was stopped are old, though they have just arrived.

Where the driver gives no time stamp, nothing else tells them from new ones.
"""

from typing import Final

PAUSE_S: Final = 1.0  # without a frame for so long, something may have piled up
PAUSE_FRAMES: Final = 3.0  # or for so many usual intervals
LONGEST_S: Final = 3.0  # a camera that became faster meanwhile is believed after this
_WEIGHT: Final = 0.1  # of the newest frame in what is usual


class Backlog:
    """After a pause, frames count again once one had to be waited for: then nothing is left in the buffer.

    "Waited for" means half as long as usual. A reader that never waits, since it is slower than its source,
    cannot tell, and is believed at once.
    """

    def __init__(self) -> None:
        self._before: float | None = None
        self._interval_s = self._wait_s = 0.0  # the usual ones
        self._until: float | None = None  # while the buffer empties

    def fresh(self, asked: float, got: float) -> bool:
        """Whether a frame is new that was asked for and came at these times, in seconds on one clock."""
        before, self._before = self._before, got
        wait = got - asked
        if before is None:
            self._wait_s = wait
            return True
        interval = got - before
        self._interval_s = self._interval_s or interval
        if interval > max(PAUSE_S, PAUSE_FRAMES * self._interval_s):
            self._until = got + LONGEST_S
            return False
        if self._until is not None and got < self._until and wait < self._wait_s / 2:
            return False
        self._until = None
        self._interval_s += _WEIGHT * (interval - self._interval_s)
        self._wait_s += _WEIGHT * (wait - self._wait_s)
        return True
