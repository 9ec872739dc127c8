"""A thread that receives all the time and keeps the newest, so that nothing grows old in a buffer below."""

import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Final, Generic, NamedTuple, TypeVar

from edgecam.sources.newest import Slot

Item = TypeVar("Item")
JOIN_S: Final = 2.0


class Received(NamedTuple, Generic[Item]):
    """What came, and when."""

    item: Item
    at: float  # seconds on the monotonic clock, when all of it was here
    missed: int = 0  # items that came before it, and after the last one taken


class Pump(Generic[Item]):
    """Calls `receive` until it raises; `take` gives its newest item, then whatever it raised."""

    def __init__(self, receive: Callable[[], Item], now: Callable[[], float] = time.monotonic) -> None:
        self._slot: Slot[tuple[int, Received[Item]]] = Slot(replace=True)
        self._due = 0  # number of the item after the last one taken
        self._receive, self._now = receive, now
        self._thread = threading.Thread(target=self._run, name="edgecam-receive", daemon=True)
        self._thread.start()

    def take(self, timeout: float) -> Received[Item] | None:
        """The newest that was not taken yet, waiting for it; None after `timeout` seconds."""
        found = self._slot.take(timeout)
        if found is None:
            return None
        number, received = found
        missed, self._due = number - self._due, number + 1
        return received._replace(missed=missed)

    def stop(self) -> None:
        """Wait for the thread. Whoever calls closes first what `receive` reads from."""
        self._slot.abandon()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        try:
            for number in count():
                if not self._slot.put((number, Received(self._receive(), self._now()))):
                    break
        except BaseException as error:
            self._slot.close(error)
