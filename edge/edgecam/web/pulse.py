"""Tells everybody who waits in the server's event loop that something changed. Beaten from any thread."""

import asyncio
import threading
from contextlib import suppress


class Pulse:
    """Many waiters, no queue: beats that come faster than the loop looks are one beat."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due = False
        self._event: asyncio.Event | None = None

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Beat in this loop from now on; None when it ends."""
        with self._lock:
            self._loop, self._due = loop, False

    def beat(self) -> None:
        """Wake who waits. Costs a few microseconds, never waits itself."""
        with self._lock:
            if self._loop is None or self._due:
                return
            self._due = True
            with suppress(RuntimeError):  # the loop ended meanwhile
                self._loop.call_soon_threadsafe(self._wake)

    def next(self) -> asyncio.Event:
        """What the next beat sets. Take it before you look, so that no change is missed between."""
        if self._event is None:
            self._event = asyncio.Event()
        return self._event

    def _wake(self) -> None:
        with self._lock:
            self._due = False
        event, self._event = self._event, None
        if event is not None:
            event.set()


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Whether it was set within this time."""
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
