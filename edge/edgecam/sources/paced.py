"""A file played at its own speed, as if it were a camera: frames that are not taken in time are gone."""

import time
from collections.abc import Callable

from edgecam.sources.source import Source
from edgecam_engines.engine import Frame


class Paced:
    """Another source, held back to its announced rate."""

    live = True

    def __init__(
        self,
        source: Source,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name, self.fps = source.name, source.fps
        self._source, self._now, self._sleep = source, now, sleep
        self._due: float | None = None

    def grab(self) -> bool:
        now = self._now()
        due = now if self._due is None else self._due
        self._sleep(max(0.0, due - now))
        # From the time it was due, not from now: small delays must not add up.
        self._due = due + 1 / self.fps
        return self._source.grab()

    def retrieve(self) -> Frame:
        return self._source.retrieve()

    def stamp(self) -> float | None:
        return self._source.stamp()

    def close(self) -> None:
        self._source.close()
