"""When a reader is said to be stalled, and when it is replaced."""

from typing import Final, Literal, NamedTuple

Verdict = Literal["fine", "stalled", "hung"]
STALLED_FRAMES: Final = 3.0
HUNG_FRAMES: Final = 10.0


class Patience(NamedTuple):
    """Seconds; a slow camera gets a number of its own intervals where those are longer."""

    stalled_s: float = 1.0  # without a frame: nothing is fresh any more, and people are told
    hung_s: float = 5.0  # without a frame: the reader is killed and replaced
    start_s: float = 20.0  # for the process itself to begin, which an overloaded machine delays
    connect_s: float = 20.0  # for one attempt to open it; `sources.opening` says how long for which source

    def of(self, fps: float) -> "Patience":
        """For a source that announces a rate."""
        return self._replace(
            stalled_s=max(self.stalled_s, STALLED_FRAMES / fps), hung_s=max(self.hung_s, HUNG_FRAMES / fps)
        )


class Watch:
    """Judges one reader by when it was last heard of. Times are seconds on one clock."""

    def __init__(self, patience: Patience, now: float) -> None:
        self._patience = patience
        self.limit_s = patience.start_s  # how long it may be silent
        self._heard = now
        self._open = False

    def heard(self, now: float) -> None:
        """It gave a frame, or told that it could not open its source yet."""
        self._heard = now

    def opening(self, now: float) -> None:
        """It begins an attempt to open its source."""
        self._heard, self.limit_s = now, self._patience.connect_s

    def opened(self, fps: float, now: float) -> None:
        """From now on frames are due."""
        self._patience, self._heard, self._open = self._patience.of(fps), now, True
        self.limit_s = self._patience.hung_s

    def verdict(self, now: float) -> Verdict:
        """How it is at this moment."""
        silent = now - self._heard
        if silent >= self.limit_s:
            return "hung"
        return "stalled" if self._open and silent >= self._patience.stalled_s else "fine"

    def until_next(self, now: float) -> float:
        """Seconds after which the verdict may be another one."""
        silent = now - self._heard
        limits = (self._patience.stalled_s, self.limit_s) if self._open else (self.limit_s,)
        return min((limit - silent for limit in limits if limit > silent), default=0.0)
