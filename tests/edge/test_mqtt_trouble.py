"""The MQTT sink and a broker that refuses, is absent, goes, hangs, or loses what it was told."""

import gc
import json
import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from edge.mqtt_kit import documents, phases, sink
from edge.parts import mosquitto
from edge.parts.lossy_proxy import LossyProxy
from edge.parts.mosquitto import Mosquitto, free_port, listening, running, until
from edge.told_kit import event, status
from edgecam.mqtt.address import parse_broker
from edgecam.mqtt.connection import Connection
from edgecam.mqtt.message import Message
from edgecam.mqtt.outbox import Outbox
from edgecam.sinks.mqtt import Mqtt

broker = mosquitto.broker

# -- who may


def test_a_user_with_the_right_password_is_taken(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    users = {"cam": "open sesame", "reader": "x"}
    with (
        running(tmp_path / "broker", users=users) as broker,
        listening(broker, username="reader", password="x") as listener,
        sink(broker.uri.replace("//", "//cam@"), password_file=secret),
    ):
        until(lambda: listener.last("edgecam/available") == b"online")


def test_a_wrong_password_is_said_once_and_nothing_else_stops(tmp_path: Path) -> None:
    said: list[str] = []
    with running(tmp_path / "broker", users={"cam": "right"}) as broker:
        mqtt = Mqtt(
            broker.uri.replace("//", "//cam@"),
            said.append,
            environ={"EDGECAM_MQTT_PASSWORD": "wrong"},
        )
        mqtt.event(event())
        until(lambda: said)
        time.sleep(1.5)  # another try
        mqtt.close()
    assert len(said) == 2, said
    assert "refuses us (not authorized)" in said[0] or "refuses us (bad user name or password)" in said[0]
    assert "password" in said[0]
    assert "1 still waited" in said[1]
    assert "wrong" not in "".join(said)


def test_tls_takes_a_broker_whose_certificate_is_for_its_name(tmp_path: Path) -> None:
    made = mosquitto.self_made_certificate(tmp_path, "localhost")
    said: list[str] = []
    with running(tmp_path / "broker", tls=made) as broker:
        uri = f"mqtts://localhost:{broker.port}/edgecam"
        with sink(uri, said, ca=made.certificate) as mqtt:
            large = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
            for number in range(20):
                mqtt.event(event(number, "end", frame=large))
            until(lambda: not len(mqtt._outbox))
    assert said == []


@pytest.mark.parametrize("known", [True, False])
def test_tls_refuses_a_broker_of_another_name_or_of_an_unknown_authority(known: bool, tmp_path: Path) -> None:
    made = mosquitto.self_made_certificate(tmp_path, "elsewhere.example" if known else "localhost")
    said: list[str] = []
    with (
        running(tmp_path / "broker", tls=made) as broker,
        sink(f"mqtts://localhost:{broker.port}", said, ca=made.certificate if known else None),
    ):
        until(lambda: said)
    assert ("Hostname mismatch" if known else "certificate verify failed") in said[0]


# -- a broker that goes


def test_a_broker_that_is_absent_at_the_start_is_waited_for(tmp_path: Path) -> None:
    if mosquitto.PROGRAM is None:
        pytest.skip("mosquitto is not installed")
    (tmp_path / "broker").mkdir()
    broker = Mosquitto(tmp_path / "broker")
    said: list[str] = []
    with sink(broker.uri, said) as mqtt:
        mqtt.event(event(1))
        until(lambda: said)
        assert "Connection refused" in said[0]
        broker.start()
        try:
            with listening(broker) as listener:
                mqtt.event(event(1, "end"))
                until(lambda: ("id-00001", "end") in phases(listener))
        finally:
            broker.stop()
    assert "there again" in said[1]


def test_every_start_and_end_arrives_over_two_restarts_of_the_broker(broker: Mosquitto) -> None:
    expected: list[tuple[str, str]] = []
    outbox = Outbox()
    with listening(broker) as listener, sink(broker.uri, outbox=outbox) as mqtt:
        until(lambda: listener.last("edgecam/available") == b"online")
        for number in range(300):
            if number in (60, 180):
                broker.stop()
            if number in (120, 240):
                broker.start()
            for phase in ("start", "end"):
                mqtt.event(event(number, phase))
                expected.append((f"id-{number:05d}", phase))
            time.sleep(0.005)
        until(lambda: len(phases(listener)) == len(expected), 30)
        sequences = [d["seq"] for d in documents(listener, "edgecam/events")]
    assert sorted(phases(listener)) == sorted(expected)
    assert outbox.lost() == {}
    assert sorted(set(sequences)) == list(range(1, len(expected) + 1)), "what came twice has the same number"


def test_what_did_not_fit_while_the_broker_was_away_is_counted_for_everybody(broker: Mosquitto) -> None:
    outbox = Outbox(events=50)
    said: list[str] = []
    with listening(broker) as listener, sink(broker.uri, said, outbox=outbox) as mqtt:
        until(lambda: listener.last("edgecam/available") == b"online")
        broker.stop()
        until(lambda: said)
        for number in range(30):
            for phase in ("start", "update", "end"):
                mqtt.event(event(number, phase))
        broker.start()
        until(lambda: listener.last("edgecam/lost") is not None)
        until(lambda: len(phases(listener)) == 50)
    lost = json.loads(listener.last("edgecam/lost") or b"")
    assert lost == {"update": 30, "start": 5, "end": 5}
    assert len(phases(listener)) + sum(lost.values()) == 90
    assert ("id-00029", "end") in phases(listener)
    assert "40 did not fit" in said[-1]


def test_a_broker_that_hangs_never_holds_the_loop_up(broker: Mosquitto) -> None:
    large = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    outbox = Outbox(latest_bytes=8 << 20)
    with listening(broker) as listener, sink(broker.uri, outbox=outbox) as mqtt:
        until(lambda: listener.last("edgecam/available") == b"online")
        broker.freeze()
        try:
            for number in range(3000):  # a loop that waited for the broker would wait for ever
                mqtt.event(event(number, "end", label=f"label {number}", frame=large))
                mqtt.status(status(captured=number))
            waiting = outbox.waiting()["end"] + outbox.lost()["end"]
            assert waiting >= 3000 - 16, "all but what is under way"
            assert len(outbox) < 1100
        finally:
            broker.thaw()
        until(lambda: listener.last("edgecam/lost") is not None)
        until(lambda: len(phases(listener)) == 3000 - outbox.lost()["end"], 30)


def test_what_was_told_but_not_acknowledged_comes_twice_and_is_told_apart_by_its_number(
    broker: Mosquitto,
) -> None:
    proxy = LossyProxy(broker.port)
    try:
        with listening(broker) as listener, sink(f"mqtt://127.0.0.1:{proxy.port}/edgecam") as mqtt:
            until(lambda: listener.last("edgecam/available") == b"online")
            mqtt.event(event(1, "start"))
            until(lambda: len(listener.all("edgecam/events")) == 1)
            proxy.deaf.set()
            for phase in ("update", "end"):
                mqtt.event(event(1, phase))
            until(lambda: len(listener.all("edgecam/events")) == 3)
            proxy.cut.set()
            proxy.deaf.clear()
            until(lambda: len(listener.all("edgecam/events")) == 5)
        told = [(d["id"], d["phase"], d["seq"]) for d in documents(listener, "edgecam/events")]
    finally:
        proxy.close()
    start, update, end = (("id-00001", phase, n) for n, phase in enumerate(("start", "update", "end"), 1))
    assert told == [start, update, end, update, end]


def test_connections_that_come_and_go_leave_nothing_open(broker: Mosquitto) -> None:
    reader, writer = os.pipe()
    will = Message("edgecam/available", b"offline", "latest", retain=True)

    def connect(port: int) -> None:
        address = parse_broker(f"mqtt://127.0.0.1:{port}/edgecam")
        connection = Connection(
            address, client_id="test", password=None, context=None, will=will, listen=None
        )
        try:
            while not connection.ready:
                connection.step(1.0, reader)
            connection.publish(will)
        finally:
            connection.close()

    connect(broker.port)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(20):
        connect(broker.port)
        with pytest.raises(ConnectionRefusedError):
            connect(free_port())
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208
    os.close(reader)
    os.close(writer)


def test_closing_never_waits_longer_than_it_says(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections and says nothing
        mqtt = Mqtt(f"mqtt://127.0.0.1:{mute.getsockname()[1]}", [].append, environ={})
        mqtt.event(event())
        time.sleep(0.2)
        began = time.monotonic()
        mqtt.close()
        mqtt.close()
        mqtt.event(event())  # too late, and harmless
        assert time.monotonic() - began < 5
    nowhere = Mqtt(f"mqtt://127.0.0.1:{free_port()}", [].append, environ={})
    began = time.monotonic()
    nowhere.close()
    assert time.monotonic() - began < 5
