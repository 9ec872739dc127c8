"""What waits for the broker: bounded, in order, and nothing goes without being counted."""

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from typing import Final

from edgecam.mqtt.message import Message

EVENTS: Final = 1000  # events and alarms that wait at most: about 1 MB
LATEST_BYTES: Final = 32 << 20  # of states, results and pictures that wait at most


class Outbox:
    """Two queues. Events and alarms are kept in order; of everything else only the latest of each topic.

    A full queue throws away the oldest update first, since the event's end says the same and more; only when
    there is none, the oldest of the rest. Filled by the main thread, emptied by the publisher's.
    """

    def __init__(self, events: int = EVENTS, latest_bytes: int = LATEST_BYTES) -> None:
        self._lock = threading.Lock()
        self._events: deque[Message] = deque()
        self._latest: OrderedDict[str, Message] = OrderedDict()
        self._most_events, self._most_bytes = events, latest_bytes
        self._lost: Counter[str] = Counter()

    def __len__(self) -> int:
        """Messages that wait."""
        with self._lock:
            return len(self._events) + len(self._latest)

    def add(self, message: Message) -> None:
        """Put one at the end of its queue; one with kind `latest` replaces what waits under its topic."""
        with self._lock:
            if message.kind == "latest":
                self._latest[message.topic] = message
                self._latest.move_to_end(message.topic)
            else:
                self._events.append(message)
            self._shrink()

    def take(self) -> Message | None:
        """The next to publish, events first; None when there is nothing."""
        with self._lock:
            if self._events:
                return self._events.popleft()
            return self._latest.popitem(last=False)[1] if self._latest else None

    def give_back(self, messages: Iterable[Message]) -> None:
        """Return what was taken and not acknowledged, oldest first, to where it came from."""
        with self._lock:
            for message in reversed(list(messages)):
                if message.kind != "latest":
                    self._events.appendleft(message)
                elif message.topic not in self._latest:  # else there is something newer to say
                    self._latest[message.topic] = message
                    self._latest.move_to_end(message.topic, last=False)
            self._shrink()

    def lost(self) -> dict[str, int]:
        """How many were thrown away so far, by kind."""
        with self._lock:
            return dict(self._lost)

    def waiting(self) -> dict[str, int]:
        """How many events and alarms wait, by kind."""
        with self._lock:
            return dict(Counter(message.kind for message in self._events))

    def _shrink(self) -> None:
        while len(self._events) > self._most_events:
            oldest = next((i for i, m in enumerate(self._events) if m.kind == "update"), 0)
            self._lost[self._events[oldest].kind] += 1
            del self._events[oldest]
        while len(self._latest) > 1 and sum(len(m.payload) for m in self._latest.values()) > self._most_bytes:
            self._latest.popitem(last=False)
            self._lost["latest"] += 1
