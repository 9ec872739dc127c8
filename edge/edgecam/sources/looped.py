"""A file or folder that begins again at its end."""

from collections.abc import Callable

from edgecam.sources.source import Source
from edgecam_engines.engine import Frame


class Looped:
    """Another source, opened anew each time it ends: seeking back is not exact in every kind of file."""

    live = False

    def __init__(self, reopen: Callable[[], Source]) -> None:
        self._reopen = reopen
        self._source = reopen()
        self.name, self.fps = self._source.name, self._source.fps

    def grab(self) -> bool:
        if self._source.grab():
            return True
        self._source.close()
        self._source = self._reopen()
        return self._source.grab()

    def retrieve(self) -> Frame:
        return self._source.retrieve()

    def stamp(self) -> float | None:
        return self._source.stamp()

    def close(self) -> None:
        self._source.close()
