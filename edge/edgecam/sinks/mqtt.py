"""Answers, events, alarms and the state of the cameras for an MQTT broker and for Home Assistant.

Everything here returns at once: it fills an outbox that a thread empties. A broker that is away at the start,
or goes, or hangs, is no error of the loop.
"""

import os
import random
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from edgecam.decisions.event import Alarm, Event
from edgecam.documents import alarm_document, event_document, status_document
from edgecam.mqtt import discovery
from edgecam.mqtt.address import parse_broker
from edgecam.mqtt.message import Message, Snapshot, encode
from edgecam.mqtt.outbox import Outbox
from edgecam.mqtt.secrets import read_password, tls_context
from edgecam.mqtt.topics import Topics
from edgecam.result import Result, as_json
from edgecam.status import CameraStatus
from edgecam_engines.engine import Frame
from edgecam_engines.errors import OutputError

RESULT_EVERY_S: Final = 1.0  # answers of one camera are told at most so often
STATUS_EVERY_S: Final = 5.0  # a state that does not change is told again so often, for its counters


class Mqtt:
    """A sink and a listener. Raises OutputError at the start for what can never work."""

    pictures = False

    def __init__(
        self,
        uri: str,
        say: Callable[[str], None],
        *,
        password_file: Path | None = None,
        ca: Path | None = None,
        with_discovery: bool = True,
        environ: Mapping[str, str] = os.environ,
        now: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        broker = parse_broker(uri)
        password = read_password(broker, password_file, environ)
        context = tls_context(broker, ca)
        _check_installed()
        from edgecam.mqtt.connection import Connection
        from edgecam.mqtt.publisher import Publisher

        if password is not None and not broker.tls and broker.host not in ("localhost", "127.0.0.1", "::1"):
            say(f"The password for {broker.name} travels unencrypted; mqtts:// would encrypt it.")
        rng = rng or random.Random()
        client_id = f"edgecam-{socket.gethostname()[:32]}-{rng.getrandbits(32):08x}"
        self._topics = Topics(broker.prefix)
        self._now, self._discovery = now, with_discovery
        self._outbox = Outbox() if outbox is None else outbox
        self._seq = 0
        self._statuses: dict[str, CameraStatus] = {}
        self._told: dict[str, tuple[str, str, float]] = {}  # of a camera: state, detail, when
        self._results: dict[str, float] = {}  # of a camera: when an answer was told
        self._firing: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)  # of a camera: rules, labels
        will = Message(self._topics.available, b"offline", "latest", retain=True)
        self._publisher = Publisher(
            broker.name,
            self._topics,
            self._outbox,
            lambda: Connection(
                broker,
                client_id=client_id,
                password=password,
                context=context,
                will=will,
                listen=discovery.BIRTH if with_discovery else None,
            ),
            self._greeting,
            say,
            rng=rng,
        )

    def write(self, frame: Frame, result: Result) -> None:
        now = self._now()
        if now - self._results.get(result.camera, -RESULT_EVERY_S) < RESULT_EVERY_S:
            return
        self._results[result.camera] = now
        document = encode({"camera": result.camera, **as_json(result)})
        self._put(Message(self._topics.result(result.camera), document, "latest", qos=0))

    def event(self, event: Event, /) -> None:
        document = encode({**event_document(event), "seq": self._next()})
        self._put(Message(self._topics.events, document, event.phase))
        if event.phase == "end":
            snapshot = Snapshot(event.best.frame)
            for topic in (
                self._topics.snapshot(event.camera, event.label),
                self._topics.snapshot(event.camera),
            ):
                self._put(Message(topic, snapshot, "latest", retain=True))

    def alarm(self, alarm: Alarm, /) -> None:
        document = encode({**alarm_document(alarm), "seq": self._next()})
        self._put(Message(self._topics.alarms, document, "alarm"))
        firing = self._firing[alarm.camera]
        (firing.add if alarm.firing else firing.discard)((alarm.rule, alarm.label))
        self._put(self._alarm_state(alarm.camera))

    def status(self, status: CameraStatus, /) -> None:
        known = status.camera in self._statuses
        self._statuses[status.camera] = status
        now = self._now()
        state, detail, at = self._told.get(status.camera, ("", "", 0.0))
        if not known:
            for message in self._introduction(status.camera):
                self._put(message)
        if not known or (state, detail) != (status.state, status.detail) or now - at >= STATUS_EVERY_S:
            self._told[status.camera] = status.state, status.detail, now
            self._put(self._state(status))

    def close(self) -> None:
        self._publisher.close()

    def _put(self, message: Message) -> None:
        self._outbox.add(message)
        self._publisher.wake()

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _greeting(self) -> list[Message]:
        """What is retained, once more: the broker may have forgotten it. Called by the publisher's thread."""
        messages = []
        for status in list(self._statuses.values()):
            messages += [*self._introduction(status.camera), self._state(status)]
        return messages

    def _introduction(self, camera: str) -> list[Message]:
        documents = discovery.documents(self._topics, camera) if self._discovery else []
        return [*documents, self._alarm_state(camera)]

    def _state(self, status: CameraStatus) -> Message:
        document = encode(status_document(status))
        return Message(self._topics.state(status.camera), document, "latest", retain=True)

    def _alarm_state(self, camera: str) -> Message:
        state = b"ON" if self._firing.get(camera) else b"OFF"
        return Message(self._topics.alarm(camera), state, "latest", retain=True)


def _check_installed() -> None:
    try:
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError as error:
        raise OutputError(
            "MQTT needs paho-mqtt 2, which is not installed here.\nType: pip install 'edgecam[mqtt]'"
        ) from error
    del CallbackAPIVersion
