"""How a file or a folder is played: clip.mp4?loop=1&realtime=1."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from edgecam.sources.options import option, read_options, yes
from edgecam.sources.source import Source
from edgecam.sources.uri import Parts
from edgecam_engines.engine import Frame


@dataclass(frozen=True)
class PlaybackOptions:
    """Both at once make a file into a camera."""

    loop: bool = option(yes, False)  # begin again at the end
    realtime: bool = option(yes, False)  # at its own speed, skipping what is not taken in time


class Playback:
    """Another source that begins again at its end, or is held back to its announced rate, or both.

    Held back it is live: frames that are not taken in time are gone.
    """

    missed = 0
    counts_all = True

    def __init__(
        self,
        source: Source,
        *,
        reopen: Callable[[], Source] | None = None,
        realtime: bool = False,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`reopen`: what comes at the end; seeking back is not exact in every kind of file."""
        self.name, self.live, self.fps = source.name, realtime, source.fps
        self._source, self._reopen = source, reopen
        self._now, self._sleep = now, sleep
        self._due: float | None = None

    def grab(self) -> bool:
        if self.live:
            self._wait()
        if self._source.grab():
            return True
        if self._reopen is None:
            return False
        self._source.close()
        self._source = self._reopen()
        return self._source.grab()

    def retrieve(self) -> Frame:
        return self._source.retrieve()

    def stamp(self) -> float | None:
        return self._source.stamp()

    def close(self) -> None:
        self._source.close()

    def _wait(self) -> None:
        now = self._now()
        due = now if self._due is None else self._due
        self._sleep(max(0.0, due - now))
        # From the time it was due, not from now: small delays must not add up.
        self._due = due + 1 / self.fps


def play(parts: Parts, open_path: Callable[[str], Source]) -> Source:
    """Open a path and play it as asked. Raises SourceError."""
    asked = read_options(PlaybackOptions, parts.options, parts.where)

    def reopen() -> Source:
        return open_path(parts.where)

    source = reopen()
    if not (asked.loop or asked.realtime):
        return source
    return Playback(source, reopen=reopen if asked.loop else None, realtime=asked.realtime)
