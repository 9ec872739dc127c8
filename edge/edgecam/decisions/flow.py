"""How much time passed between results."""


class Flow:
    """Seconds since the first result, never going back.

    Results that come with a monotonic time make it exact. By the calendar alone, a clock that was set back
    adds nothing; one that was set forward cannot be told from frames that did not come, and adds that much.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._before: float | None = None

    def reach(self, at: float) -> float:
        """Go on to a moment, `Result.steady_at`; the time since the first one."""
        if self._before is not None:
            self.now += max(0.0, at - self._before)
        self._before = at
        return self.now
