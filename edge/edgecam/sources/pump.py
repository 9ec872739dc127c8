"""A thread that receives all the time and keeps the newest, so that nothing grows old in a buffer below."""

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from edgecam.sources.newest import Slot

Item = TypeVar("Item")
JOIN_S: Final = 2.0


class Received(NamedTuple, Generic[Item]):
    """What came, and when."""

    item: Item
    at: float  # seconds on the monotonic clock, when all of it was here


class Pump(Generic[Item]):
    """Calls `receive` until it raises; `take` gives its newest item, then whatever it raised."""

    def __init__(self, receive: Callable[[], Item], now: Callable[[], float] = time.monotonic) -> None:
        self._slot: Slot[Received[Item]] = Slot(replace=True)
        self._receive, self._now = receive, now
        self._thread = threading.Thread(target=self._run, name="edgecam-receive", daemon=True)
        self._thread.start()

    def take(self, timeout: float) -> Received[Item] | None:
        """The newest that was not taken yet, waiting for it; None after `timeout` seconds."""
        return self._slot.take(timeout)

    def stop(self) -> None:
        """Wait for the thread. Whoever calls closes first what `receive` reads from."""
        self._slot.abandon()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        try:
            while self._slot.put(Received(self._receive(), self._now())):
                pass
        except BaseException as error:
            self._slot.close(error)
