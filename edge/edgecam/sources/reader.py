"""Keeps a source read, in a thread of its own, and a lost camera called back.

`Reader` is the seam: a reader in a process of its own, with shared memory, fits behind it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final, NamedTuple, Protocol

from edgecam.sources.newest import Slot
from edgecam.sources.source import Shot, Source
from edgecam_engines.errors import SourceError

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 10.0
JOIN_S: Final = 2.0  # a hung driver is left behind after this; its thread is a daemon


class Clock(NamedTuple):
    """The two clocks of a capture: one for ages, one for people."""

    monotonic: Callable[[], float] = time.monotonic
    utc: Callable[[], float] = time.time


class Reader(Protocol):
    """Whoever gives the loop its frames."""

    lost: int  # how often a live source went away

    def take(self, timeout: float) -> Shot | None:
        """The next shot, None after `timeout` seconds without one. Raises Ended, or SourceError."""
        ...

    def stop(self) -> None:
        """End the reading and give the device back, within a bounded time."""
        ...


def waits(first: float = FIRST_WAIT_S, longest: float = LONGEST_WAIT_S) -> Iterator[float]:
    """Seconds to wait before each attempt to reopen: doubling, up to `longest`."""
    wait = first
    while True:
        yield wait
        wait = min(2 * wait, longest)


class ThreadReader:
    """Reads an open source into one slot. Live sources skip; files and folders wait to be taken."""

    def __init__(
        self,
        source: Source,
        reopen: Callable[[], Source],
        say: Callable[[str], None],
        clock: Clock = Clock(),  # noqa: B008 - a constant
        first_wait: float = FIRST_WAIT_S,
    ) -> None:
        self.lost = 0
        self._reopen, self._say, self._clock, self._first_wait = reopen, say, clock, first_wait
        self._live = source.live
        self._slot: Slot[Shot] = Slot(replace=source.live)
        self._number = 0  # of the next shot; goes on counting after a camera came back
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

    def stop(self) -> None:
        self._stopping.set()
        self._slot.abandon()
        self._thread.join(JOIN_S)

    def _run(self, source: Source | None) -> None:
        try:
            while source is not None:
                try:
                    with closing(source):
                        self._read(source)
                    break
                except SourceError as error:
                    if not self._live:
                        raise
                    self.lost += 1
                    source = self._call_back(source.name, error)
        except BaseException as error:
            self._slot.close(error)
        else:
            self._slot.close()

    def _read(self, source: Source) -> None:
        while self._may_go_on() and source.grab():
            captured, captured_at = self._clock.monotonic(), self._clock.utc()
            if not self._slot.put(Shot(source.retrieve(), self._number, captured, captured_at)):
                break
            self._number += 1

    def _may_go_on(self) -> bool:
        # What can wait is not decoded ahead: a decoded frame takes memory, and its age is already running.
        return not self._stopping.is_set() and (self._live or self._slot.wait_for_room())

    def _call_back(self, name: str, error: SourceError) -> Source | None:
        """Reopen until it works or the loop ends. Nothing is handed over in the meantime."""
        reason = str(error).splitlines()[0]
        self._say(f"{name} is lost: {reason} Trying again until it is back.")
        for wait in waits(self._first_wait):
            if self._stopping.wait(wait):
                return None
            try:
                source = self._reopen()
            except SourceError as still:
                if (news := str(still).splitlines()[0]) != reason:
                    reason = news
                    self._say(f"{name} is still away: {reason}")
            else:
                self._say(f"{name} is back.")
                return source
        return None
