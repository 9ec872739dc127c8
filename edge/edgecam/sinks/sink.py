"""Where results go."""

from typing import Protocol

from edgecam.result import Result
from edgecam_engines.engine import Frame


class Finished(Exception):
    """Whoever a sink wrote for is gone: the window was closed, the pipe has no reader any more."""


class Sink(Protocol):
    """One place that takes results. Called from the main thread only."""

    pictures: bool  # whether it shows the frame drawn on; those that do not are written first, undrawn

    def write(self, frame: Frame, result: Result) -> None:
        """Take one result and its frame, drawn on if `pictures`. Raises Finished, or OutputError."""
        ...

    def close(self) -> None:
        """Finish what was written. Safe to call twice. Raises OutputError."""
        ...
