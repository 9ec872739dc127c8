"""The time that a recording plays by: it follows the camera's, but never runs back and never leaps."""

from collections import deque
from typing import Final

LONGEST_HOLD_S: Final = 1.0  # a longer gap (a lost camera, a stepped clock) is cut, not filled
REMEMBERED: Final = 3000  # frames whose time can be asked for
RATE_OVER: Final = 30  # frames that the rate is measured over


class MediaClock:
    """Seconds since the first frame. A file or folder has its own rate, whatever the time of day."""

    def __init__(self, *, live: bool, fps: float) -> None:
        self._live, self._fps = live, fps
        self._known: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)  # captured_at, seconds

    def tick(self, captured_at: float) -> float:
        """The time of a new frame."""
        if not self._known:
            seconds = 0.0
        else:
            before, seconds = self._known[-1]
            passed = min(max(captured_at - before, 0.0), LONGEST_HOLD_S)
            seconds += passed if self._live else 1 / self._fps
        self._known.append((captured_at, seconds))
        return seconds

    def of(self, captured_at: float) -> float:
        """The time of the last frame that was captured then; of the newest frame, if none was."""
        for at, seconds in reversed(self._known):
            if at == captured_at:
                return seconds
        return self.newest()

    def newest(self) -> float:
        """The time of the newest frame."""
        return self._known[-1][1] if self._known else 0.0

    def rate(self) -> float | None:
        """Frames a second, lately; None for too few."""
        recent = list(self._known)[-RATE_OVER:]
        if len(recent) < RATE_OVER or recent[-1][1] <= recent[0][1]:
            return None
        return (len(recent) - 1) / (recent[-1][1] - recent[0][1])
