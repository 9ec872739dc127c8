"""One connection to the broker, from CONNECT to its end. It is never mended: the next one is a new object.

paho-mqtt would reconnect and resend by itself, but then nobody could say what was told and what was not, and
why a connection failed. So its external loop is used, in one thread, and `waiting` is the truth.
"""

import os
import selectors
import ssl
import time
from contextlib import suppress
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from edgecam.mqtt.address import Broker
from edgecam.mqtt.message import Message

CONNECT_S: Final = 5.0  # longest wait for TCP
GREET_S: Final = 10.0  # longest wait for the broker's first words after that
KEEPALIVE_S: Final = 15  # a broker that is silent for this long is asked; after as long again it is gone
WINDOW: Final = 16  # messages under way; paho sends at most 20 of QoS 1


class Broken(OSError):
    """The connection could not be made or is gone; the words say why."""


class Connection:
    """Not shared between threads. Raises Broken, or another OSError, wherever it talks to the broker."""

    def __init__(
        self,
        broker: Broker,
        *,
        client_id: str,
        password: str | None,
        context: ssl.SSLContext | None,
        will: Message,
        listen: str | None,
    ) -> None:
        """Connect; nothing is published before `ready`. `listen` is a topic whose `online` sets `born`."""
        self.ready = False
        self.born = False
        self._listen = listen
        self._refused: str | None = None
        self._waiting: dict[int, tuple[Message, paho.MQTTMessageInfo]] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id, reconnect_on_failure=False)
        self._client.connect_timeout = CONNECT_S
        self._client.on_connect = self._connected
        self._client.on_message = self._message
        if broker.user is not None:
            self._client.username_pw_set(broker.user, password)
        if context is not None:
            self._client.tls_set_context(context)
        self._client.will_set(will.topic, will.content(), will.qos, will.retain)
        try:
            self._client.connect(broker.host, broker.port, KEEPALIVE_S)
        except ValueError as error:  # a host name that cannot be one
            raise Broken(str(error)) from error
        self._greeted_by = time.monotonic() + GREET_S
        self._selector = selectors.DefaultSelector()

    @property
    def full(self) -> bool:
        """Whether as many messages are under way as may be."""
        return len(self._waiting) >= WINDOW

    @property
    def waiting(self) -> list[Message]:
        """What was published and not acknowledged yet, oldest first; without QoS, not sent yet."""
        return [message for message, _ in self._waiting.values()]

    def publish(self, message: Message) -> None:
        """Hand over one message; it is in `waiting` until the broker has it, also when this raises."""
        info = self._client.publish(message.topic, message.content(), message.qos, message.retain)
        self._waiting[info.mid] = message, info
        self._check(info.rc)

    def step(self, timeout_s: float, wake: int) -> None:
        """Read and write what there is, or wait for it; returns early when the pipe `wake` is written to."""
        sock = self._client.socket()
        if sock is None:
            raise Broken(self._refused or "the broker closed the connection")
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            timeout_s = 0.0  # decrypted already, so the socket itself looks silent
        if self._ready_to_read(sock, wake, timeout_s):
            self._check(self._client.loop_read())
        if self._client.want_write():
            self._check(self._client.loop_write())
        self._check(self._client.loop_misc())
        if not self.ready and time.monotonic() > self._greeted_by:
            raise Broken("the broker does not answer")
        self._waiting = {mid: item for mid, item in self._waiting.items() if not item[1].is_published()}

    def leave(self) -> None:
        """Say goodbye, so that the broker does not publish the will."""
        self._client.disconnect()

    def close(self) -> None:
        """End it as it is: the broker then publishes the will, unless we took our leave."""
        self._selector.close()
        sock = self._client.socket()
        if sock is not None:
            with suppress(OSError):
                sock.close()

    def _ready_to_read(self, sock: Any, wake: int, timeout_s: float) -> bool:
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._client.want_write() else 0)
        if sock in self._selector.get_map():
            self._selector.modify(sock, wanted)
        else:
            self._selector.register(sock, wanted)
            self._selector.register(wake, selectors.EVENT_READ)
        found = {key.fd: mask for key, mask in self._selector.select(timeout_s)}
        if wake in found:
            with suppress(BlockingIOError):
                os.read(wake, 1 << 12)
        pending = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        return pending or bool(found.get(sock.fileno(), 0) & selectors.EVENT_READ)

    def _check(self, code: MQTTErrorCode) -> None:
        if self._refused is not None:
            raise Broken(self._refused)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Broken(paho.error_string(code).rstrip("."))

    def _connected(self, client: paho.Client, userdata: Any, flags: Any, code: Any, properties: Any) -> None:
        if code.is_failure:
            self._refused = (
                f"it refuses us ({str(code).lower()}); look at the user in the address and at the password"
            )
            return
        self.ready = True
        if self._listen is not None:
            client.subscribe(self._listen, qos=1)

    def _message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        if message.topic == self._listen and message.payload == b"online":
            self.born = True
