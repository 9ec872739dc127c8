"""Small pictures of the last events. Asked for by the loop, made in the encoder's thread."""

import threading
from collections import OrderedDict
from typing import Final

from edgecam.decisions.event import Best, Event
from edgecam.web import jpeg

MOST: Final = 300  # pictures that are remembered
MOST_ASKED: Final = 16  # frames that wait to be made small; each is a whole frame


class Thumbnails:
    """Bounded both ways: the oldest picture falls out, and so does the oldest wish."""

    def __init__(self, most: int = MOST, most_asked: int = MOST_ASKED) -> None:
        self.dropped = 0  # wishes that fell out
        self._most, self._most_asked = most, most_asked
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, Best] = OrderedDict()
        self._made: OrderedDict[str, tuple[int, bytes]] = OrderedDict()  # frame number, JPEG

    @property
    def asked(self) -> int:
        """How many wait."""
        return len(self._asked)

    def ask(self, event: Event) -> None:
        """Make this event's picture, unless it is made already. Returns at once."""
        with self._lock:
            made = self._made.get(event.id)
            if made is not None and made[0] == event.best.number:
                return
            self._asked[event.id] = event.best
            while len(self._asked) > self._most_asked:
                self._asked.popitem(last=False)
                self.dropped += 1

    def make_one(self) -> None:
        """Make the one that has waited longest. Raises ValueError when it cannot be made."""
        with self._lock:
            if not self._asked:
                return
            name, best = next(iter(self._asked.items()))
        try:
            picture = jpeg.thumbnail(best)
            self._keep(name, best.number, picture)
        finally:
            # Only now, so that it is at all times either waited for or there.
            with self._lock:
                if self._asked.get(name) is best:
                    del self._asked[name]

    def _keep(self, name: str, number: int, picture: bytes) -> None:
        with self._lock:
            self._made[name] = number, picture
            self._made.move_to_end(name)
            while len(self._made) > self._most:
                self._made.popitem(last=False)

    def waiting(self, event_id: str) -> bool:
        """Whether this event's picture is still to be made."""
        return event_id in self._asked

    def get(self, event_id: str) -> bytes | None:
        """The JPEG of an event; None when there is none (any more)."""
        with self._lock:
            made = self._made.get(event_id)
            return made[1] if made else None
