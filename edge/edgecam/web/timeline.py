"""The last events and alarms, in order, each under an id that a client can go on from."""

import threading
from collections import deque
from typing import Final, Literal, NamedTuple

from edgecam.web.facts import Facts

MOST: Final = 1000


class Entry(NamedTuple):
    """Something that happened once."""

    number: int  # counts from 1
    kind: Literal["event", "alarm"]
    facts: Facts


class Timeline:
    """Bounded; ids name this start of the program too, so that none of an earlier start is mistaken."""

    def __init__(self, start: str, most: int = MOST) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=most)
        self._last = 0

    @property
    def last(self) -> int:
        """Number of the newest entry; 0 when there is none."""
        return self._last

    def add(self, kind: Literal["event", "alarm"], facts: Facts) -> None:
        """Append; the oldest falls out."""
        with self._lock:
            self._last += 1
            self._entries.append(Entry(self._last, kind, facts))

    def after(self, number: int) -> list[Entry]:
        """What came after an entry, as far as it is remembered, oldest first."""
        with self._lock:
            if number >= self._last:
                return []
            return [entry for entry in self._entries if entry.number > number]

    def id_of(self, number: int) -> str:
        """What a client is told, and sends back as Last-Event-ID."""
        return f"{self._start}-{number}"

    def position(self, event_id: str) -> int:
        """Where a client goes on; 0, so everything, for an id of another start or no id at all."""
        start, _, number = event_id.rpartition("-")
        if start != self._start or not (number.isascii() and number.isdigit() and len(number) < 16):
            return 0
        return min(int(number), self._last)
