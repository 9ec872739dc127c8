"""How much time passed, by capture times of a clock that somebody may set."""


class Flow:
    """Seconds since the first frame, never going back.

    A clock that was set back adds nothing; one that was set forward cannot be told from frames that did
    not come, and adds what it was set by.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._before: float | None = None

    def reach(self, captured_at: float) -> float:
        """Go on to a moment, in seconds since the epoch; the time since the first one."""
        if self._before is not None:
            self.now += max(0.0, captured_at - self._before)
        self._before = captured_at
        return self.now
