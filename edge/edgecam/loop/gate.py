"""Which of a camera's frames are due: a rate at most, and every n-th."""


class Gate:
    """Counts frames by their numbers, so that those that nobody took count too."""

    def __init__(self, every: int = 1, fps: float | None = None) -> None:
        """`fps`: at most so many frames a second; None: as many as come."""
        self._every, self._fps = every, fps
        self._due = -float("inf")
        self._last: int | None = None

    def change(self, every: int, fps: float | None) -> None:
        """Go on with other limits. Safe from any thread."""
        self._every, self._fps = every, fps
        self._due = -float("inf")

    def wait(self, now: float) -> float:
        """Seconds until a frame may be taken; 0 when it may be now."""
        return 0.0 if self._fps is None else max(0.0, self._due - now)

    def wants(self, number: int) -> bool:
        """Whether a frame is the n-th after the last one, or later."""
        return self._last is None or number - self._last >= self._every

    def took(self, number: int, now: float) -> None:
        """A frame was taken that was wanted."""
        self._last, fps = number, self._fps
        if fps is not None:
            # From when it was due, so that the rate is met on average, unless the camera could not keep up.
            interval = 1 / fps
            self._due = (self._due if self._due > now - interval else now) + interval
