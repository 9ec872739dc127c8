"""Keeps a source read. What is not live is read in a thread; live sources have `edgecam.isolation`."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Final, NamedTuple, Protocol

from edgecam.sources.bell import Bell
from edgecam.sources.health import Book, Health
from edgecam.sources.newest import Slot
from edgecam.sources.source import Shot, Source, counts_all

JOIN_S: Final = 2.0  # what hangs is left behind after this; its thread is a daemon


class Clock(NamedTuple):
    """The two clocks of a capture: one for ages, one for people."""

    monotonic: Callable[[], float] = time.monotonic
    utc: Callable[[], float] = time.time


class Reader(Protocol):
    """Whoever gives the loop its frames."""

    name: str  # for people; never holds a password
    live: bool  # a frame that is not taken in time is gone
    fps: float  # as announced

    def take(self, timeout: float) -> Shot | None:
        """The next shot, None after `timeout` seconds without one. Raises Ended, or SourceError."""
        ...

    def health(self) -> Health:
        """How it is now."""
        ...

    def changes(self) -> list[Health]:
        """Every change of state since this was last asked, oldest first."""
        ...

    def stop(self) -> None:
        """End the reading and give the device back, within a bounded time."""
        ...


class ThreadReader:
    """Reads an open source into one slot. Live sources skip; files and folders wait to be taken."""

    def __init__(
        self,
        source: Source,
        clock: Clock = Clock(),  # noqa: B008 - a constant
        bell: Bell | None = None,
    ) -> None:
        self.name, self.live, self.fps = source.name, source.live, source.fps
        self._clock, self._counts_all = clock, counts_all(source)
        self._book = Book(clock.utc)
        self._slot: Slot[Shot] = Slot(replace=source.live, ring=None if bell is None else bell.ring)
        self._number = 0  # of the next shot
        self._taken = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(source,), name="edgecam-read", daemon=True)
        self._thread.start()

    def take(self, timeout: float) -> Shot | None:
        shot = self._slot.take(timeout)
        if shot is None:
            return None
        skipped = shot.number - self._taken
        self._taken += 1
        return shot._replace(skipped=skipped)

    def health(self) -> Health:
        replaced = self._slot.replaced  # before what was captured, which is then never too few
        return self._book.now._replace(skipped=replaced, counts_all=self._counts_all)

    def changes(self) -> list[Health]:
        return self._book.changes()

    def stop(self) -> None:
        self._stopping.set()
        self._slot.abandon()
        self._thread.join(JOIN_S)

    def _run(self, source: Source) -> None:
        try:
            with closing(source):
                self._read(source)
        except BaseException as error:
            self._slot.close(error)
        else:
            self._slot.close()

    def _read(self, source: Source) -> None:
        while self._may_go_on() and source.grab():
            captured, captured_at = self._clock.monotonic(), self._clock.utc()
            frame = source.retrieve()
            self._book.gave(self._number + 1, captured_at)
            self._book.turn("live")
            if not self._slot.put(Shot(frame, self._number, captured, captured_at)):
                break
            self._number += 1
            del frame

    def _may_go_on(self) -> bool:
        # What can wait is not decoded ahead: a decoded frame takes memory, and its age is already running.
        return not self._stopping.is_set() and (self.live or self._slot.wait_for_room())
