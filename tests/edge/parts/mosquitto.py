"""A real MQTT broker on a free port of the loopback, and somebody who listens to it."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

PROGRAM = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Certificate(NamedTuple):
    """A certificate that its own key signed, so it is its own authority."""

    key: Path
    certificate: Path


class Mosquitto:
    """One broker. It keeps sessions and retained messages over a stop and a start."""

    def __init__(
        self, folder: Path, *, users: dict[str, str] | None = None, tls: Certificate | None = None
    ) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        lines = [
            "user root",  # else it becomes somebody who may not read the test's folder
            f"listener {self.port} 127.0.0.1",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 0",
            "log_dest none",
        ]
        if users is None:
            lines.append("allow_anonymous true")
        else:
            passwords = folder / "passwords"
            passwords.write_text("".join(f"{user}:{password}\n" for user, password in users.items()))
            subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, capture_output=True)
            lines.append(f"password_file {passwords}")
        if tls is not None:
            lines += [f"certfile {tls.certificate}", f"keyfile {tls.key}"]
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n")

    @property
    def uri(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}/edgecam"

    def start(self) -> None:
        assert PROGRAM is not None
        self._process = subprocess.Popen(
            [PROGRAM, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.poll() is None, "mosquitto ended at once"
            time.sleep(0.02)
        raise AssertionError("mosquitto does not listen")

    def stop(self) -> None:
        """As an administrator would: it saves what it keeps. Safe to call twice."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


class Listening:
    """Everything that was published, in order, from a session that outlives the broker's restart."""

    def __init__(self, port: int, topics: str = "#", **login: str) -> None:
        self._lock = threading.Lock()
        self._messages: list[paho.MQTTMessage] = []
        self._ready = threading.Event()
        self._topics = topics
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, f"listening-{uuid.uuid4().hex}", clean_session=False
        )
        self._client.reconnect_delay_set(0.1, 0.3)  # type: ignore[arg-type]
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._keep
        if login:
            self._client.username_pw_set(**login)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10)

    def all(self, topic: str) -> list[paho.MQTTMessage]:
        with self._lock:
            return [message for message in self._messages if message.topic == topic]

    def last(self, topic: str) -> bytes | None:
        messages = self.all(topic)
        return messages[-1].payload if messages else None

    def topics(self) -> set[str]:
        with self._lock:
            return {message.topic for message in self._messages}

    def say(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _subscribe(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(self._topics, qos=1)

    def _keep(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        with self._lock:
            self._messages.append(message)


@contextmanager
def listening(broker: Mosquitto, topics: str = "#", **login: str) -> Iterator[Listening]:
    """Closed at the end."""
    listener = Listening(broker.port, topics, **login)
    try:
        yield listener
    finally:
        listener.close()


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Mosquitto]:
    """A started broker; the test is skipped by name where there is none."""
    if PROGRAM is None:
        pytest.skip("mosquitto is not installed")
    folder.mkdir()
    broker = Mosquitto(folder, **options)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """One that takes everybody."""
    with running(tmp_path / "broker") as started:
        yield started


def self_made_certificate(folder: Path, host: str) -> Certificate:
    """For one host name; by openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    made = Certificate(folder / "key.pem", folder / "certificate.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-days", "2", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    command += ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return made


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(true: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait for it; a test that waits in vain fails."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
