"""The thread that empties the outbox into the broker, for as long as it takes."""

import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from edgecam.mqtt.connection import Connection
from edgecam.mqtt.message import Message, encode
from edgecam.mqtt.outbox import Outbox
from edgecam.mqtt.topics import Topics

CLOSE_S: Final = 2.0  # longest that the end of a run waits for the broker
FAREWELL_S: Final = 0.5  # of these, kept for saying `offline`
IDLE_S: Final = 1.0  # how often the connection is looked after when there is nothing to do
FIRST_WAIT_S: Final = 1.0  # before the second try; then twice as long each time
LONGEST_WAIT_S: Final = 30.0
STEADY_S: Final = 2.0  # a connection that breaks sooner counts as one that failed


class Publisher:
    """Owns the connection. Tells people once when the broker goes and when it is back."""

    def __init__(
        self,
        name: str,
        topics: Topics,
        outbox: Outbox,
        connect: Callable[[], Connection],
        greeting: Callable[[], Sequence[Message]],
        say: Callable[[str], None],
        *,
        rng: random.Random,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        """`greeting` is what a broker must be told at each connection and what Home Assistant asks for."""
        self._name, self._topics, self._outbox = name, topics, outbox
        self._connect, self._greeting, self._say = connect, greeting, say
        self._rng, self._first_wait_s = rng, first_wait_s
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._complaint = ""  # what people were told last
        self._told_lost: dict[str, int] = {}
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._work, name="edgecam-mqtt", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something in the outbox. Returns at once."""
        if self._closing.is_set():
            return  # the pipe may be closed
        with suppress(BlockingIOError):
            os.write(self._writer, b"!")

    def close(self) -> None:
        """Publish what waits, for at most CLOSE_S, and say offline. Safe to call twice."""
        if self._closing.is_set():
            return
        self._deadline = time.monotonic() + CLOSE_S
        self.wake()
        self._closing.set()
        self._thread.join(CLOSE_S + FAREWELL_S)
        if not self._thread.is_alive():  # else it still uses the pipe, and ends with the process
            os.close(self._reader)
            os.close(self._writer)
        kept = sum(self._outbox.waiting().values())
        gone = sum(n for kind, n in self._outbox.lost().items() if kind != "latest")
        if kept or gone:
            self._say(
                f"{kept + gone} messages about events and alarms never reached the MQTT broker {self._name}: "
                f"{gone} did not fit while it was away, {kept} still waited at the end."
            )

    def _work(self) -> None:
        wait_s = self._first_wait_s
        while not self._closing.is_set():
            began = time.monotonic()
            steady = False
            try:
                connection = self._connect()
                try:
                    steady = self._serve(connection) and time.monotonic() - began > STEADY_S
                finally:
                    self._outbox.give_back(connection.waiting)
                    connection.close()
            except OSError as error:
                self._complain(error.strerror or str(error))
            wait_s = self._first_wait_s if steady else min(2 * wait_s, LONGEST_WAIT_S)
            # With jitter, so that a fleet does not come back all at once.
            self._closing.wait(wait_s * self._rng.uniform(0.5, 1.0))

    def _serve(self, connection: Connection) -> bool:
        """Until the connection breaks or we close; whether the broker ever took us."""
        try:
            while not connection.ready:
                connection.step(IDLE_S, self._reader)
                if self._closing.is_set() and time.monotonic() > self._deadline:
                    return False
            self._welcome(connection)
            while not self._done(connection):
                self._hand_over(connection)
                connection.step(min(IDLE_S, max(0.0, self._left())), self._reader)
                if connection.born:
                    connection.born = False
                    self._outbox.give_back(self._greeting())
            self._farewell(connection)
        except OSError as error:
            if not connection.ready:
                raise
            self._complain(error.strerror or str(error))
        return connection.ready

    def _welcome(self, connection: Connection) -> None:
        if self._complaint:
            self._say(f"The MQTT broker {self._name} is there again.")
            self._complaint = ""
        self._told_lost = {}
        self._outbox.give_back(self._greeting())
        connection.publish(Message(self._topics.available, b"online", "latest", retain=True))

    def _hand_over(self, connection: Connection) -> None:
        lost = self._outbox.lost()
        if lost != self._told_lost and not connection.full:
            connection.publish(Message(self._topics.lost, encode(lost), "latest", retain=True))
            self._told_lost = lost
        while not connection.full and (message := self._outbox.take()) is not None:
            connection.publish(message)

    def _left(self) -> float:
        """Seconds until the farewell must begin."""
        return self._deadline - FAREWELL_S - time.monotonic()

    def _done(self, connection: Connection) -> bool:
        if not self._closing.is_set():
            return False
        return self._left() <= 0 or not (len(self._outbox) or connection.waiting)

    def _farewell(self, connection: Connection) -> None:
        connection.publish(Message(self._topics.available, b"offline", "latest", retain=True))
        while connection.waiting and time.monotonic() < self._deadline:
            connection.step(0.05, self._reader)
        if not connection.waiting:
            connection.leave()  # else the will says it

    def _complain(self, why: str) -> None:
        if why != self._complaint and not self._closing.is_set():
            self._complaint = why
            self._say(
                f"The MQTT broker {self._name} cannot be used: {why}. What happens is kept for it, within "
                f"bounds, and it is tried again."
            )
