"""The MQTT sink against a real broker: what is told, what is kept, and what happens when the broker goes."""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.parts import mosquitto
from edge.parts.lossy_proxy import LossyProxy
from edge.parts.mosquitto import Listening, Mosquitto, free_port, listening, running, until
from edge.test_sinks import result
from edge.told_kit import alarm, event, status
from edgecam.mqtt import discovery
from edgecam.mqtt.address import parse_broker
from edgecam.mqtt.connection import Connection
from edgecam.mqtt.message import Message
from edgecam.mqtt.outbox import Outbox
from edgecam.mqtt.topics import Topics
from edgecam.sinks.listener import Listener
from edgecam.sinks.mqtt import Mqtt

broker = mosquitto.broker
FRAME = np.zeros((8, 8, 3), np.uint8)


@contextmanager
def sink(uri: str, said: list[str] | None = None, **options: Any) -> Iterator[Mqtt]:
    heard: list[str] = [] if said is None else said
    opened = Mqtt(uri, heard.append, environ={}, **options)
    try:
        yield opened
    finally:
        opened.close()


def documents(listener: Listening, topic: str) -> list[dict[str, Any]]:
    return [json.loads(message.payload) for message in listener.all(topic)]


def phases(listener: Listening) -> list[tuple[str, str]]:
    """Ids and phases of the events that arrived, each once, in order of their first arrival."""
    return list(dict.fromkeys((d["id"], d["phase"]) for d in documents(listener, "edgecam/events")))


# ---- what is told


def test_the_life_of_an_event_arrives_in_order_with_an_id_and_a_sequence(broker: Mosquitto) -> None:
    with listening(broker) as listener, sink(broker.uri) as mqtt:
        assert isinstance(mqtt, Listener)
        for phase in ("start", "update", "end"):
            mqtt.event(event(1, phase))
        until(lambda: len(listener.all("edgecam/events")) == 3)
        until(lambda: listener.last("edgecam/line 1/snapshot"))
    told = documents(listener, "edgecam/events")
    assert [(d["id"], d["phase"], d["seq"]) for d in told] == [
        ("id-00001", "start", 1),
        ("id-00001", "update", 2),
        ("id-00001", "end", 3),
    ]
    assert told[2]["started_at"] == "2023-11-14T22:13:20.000Z"
    assert told[2]["why"] == "gone"
    assert told[2]["best"] == {
        "frame": 7,
        "captured_at": "2023-11-14T22:13:20.000Z",
        "confidence": 0.9123,
        "box": [1, 2, 3, 4],
        "size": [32, 24],
    }


def test_the_best_frame_of_an_event_is_published_as_a_plain_jpeg_and_retained(broker: Mosquitto) -> None:
    frame = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    with listening(broker) as first, sink(broker.uri) as mqtt:
        mqtt.event(event(1, "start", label="tea/cup", frame=frame))
        mqtt.event(event(1, "end", label="tea/cup", frame=frame))
        until(lambda: first.last("edgecam/line 1/snapshot"))
    with listening(broker, "edgecam/line 1/#") as late:
        until(lambda: len(late.topics()) == 2)
        (by_label,) = late.topics() - {"edgecam/line 1/snapshot"}
        assert by_label.startswith("edgecam/line 1/tea_cup-")
        for topic in late.topics():
            shown = cv2.imdecode(np.frombuffer(late.last(topic) or b"", np.uint8), cv2.IMREAD_COLOR)
            assert shown is not None
            assert np.abs(shown.astype(int) - frame).mean() < 12


def test_answers_are_told_at_most_once_a_second_for_each_camera(broker: Mosquitto) -> None:
    now = [0.0]
    with listening(broker) as listener, sink(broker.uri, now=lambda: now[0]) as mqtt:
        until(lambda: listener.last("edgecam/available"))
        for step in range(40):  # ten answers a second for four seconds, from two cameras
            now[0] = step / 10
            for camera in ("a", "b"):
                mqtt.write(FRAME, result(number=step)._replace(camera=camera))
            time.sleep(0.01)
        until(lambda: documents(listener, "edgecam/b/result")[-1]["frame"] == 30)
    assert [d["frame"] for d in documents(listener, "edgecam/a/result")] == [0, 10, 20, 30]
    assert documents(listener, "edgecam/a/result")[0]["camera"] == "a"
    assert documents(listener, "edgecam/a/result")[0]["label"] == "mug"


def test_alarms_are_told_and_the_problem_sensor_is_on_until_the_last_of_them_is_over(
    broker: Mosquitto,
) -> None:
    with listening(broker) as listener, sink(broker.uri) as mqtt:
        for firing, rule in ((True, "a"), (True, "b"), (False, "a"), (False, "b")):
            mqtt.alarm(alarm(firing, rule=rule))
            time.sleep(0.1)  # only the latest state is kept for one topic
        until(lambda: len(listener.all("edgecam/line 1/alarm")) == 4)
    assert [m.payload for m in listener.all("edgecam/line 1/alarm")] == [b"ON", b"ON", b"ON", b"OFF"]
    told = documents(listener, "edgecam/alarms")
    assert [(d["rule"], d["firing"]) for d in told] == [
        ("a", True),
        ("b", True),
        ("a", False),
        ("b", False),
    ]
    assert told[0]["p"] == 0.0038


def test_the_state_of_a_camera_is_retained_and_told_at_each_change(broker: Mosquitto) -> None:
    now = [0.0]
    with sink(broker.uri, now=lambda: now[0]) as mqtt, listening(broker) as listener:
        until(lambda: listener.last("edgecam/available") == b"online")
        for step in range(7):  # once a second, and nothing changes
            now[0] = float(step)
            mqtt.status(status("live", captured=step))
            time.sleep(0.05)
        mqtt.status(status("lost", detail="unplugged"))
        until(lambda: len(listener.all("edgecam/line 1/state")) == 3)
    told = documents(listener, "edgecam/line 1/state")
    assert [d["captured"] for d in told] == [0, 5, 5]
    assert [d["state"] for d in told] == ["live", "live", "lost"]
    assert told[2]["detail"] == "unplugged"
    assert told[2]["captured_at"] == "2023-11-14T22:13:20.000Z"
    with listening(broker, "edgecam/line 1/state") as late:
        until(lambda: late.last("edgecam/line 1/state"))
        assert documents(late, "edgecam/line 1/state")[0]["state"] == "lost"


# ---- Home Assistant


def test_home_assistant_is_told_of_every_camera_once_more_when_it_starts(broker: Mosquitto) -> None:
    with listening(broker) as listener, sink(broker.uri) as mqtt:
        mqtt.status(status())
        mqtt.status(status(camera="line 2"))
        until(lambda: sum(t.endswith("/config") for t in listener.topics()) == 10)
        (topic,) = (m.topic for m in discovery.documents(Topics("edgecam"), "line 2") if "/label/" in m.topic)
        before = len(listener.all(topic))
        listener.say(discovery.BIRTH, "online")
        until(lambda: len(listener.all(topic)) == before + 1)
    document = json.loads(listener.last(topic) or b"")
    assert document["state_topic"] == "edgecam/line 2/result"
    assert {"topic": "edgecam/available"} in document["availability"]


def test_without_discovery_nothing_is_said_to_home_assistant(broker: Mosquitto) -> None:
    with listening(broker) as listener, sink(broker.uri, with_discovery=False) as mqtt:
        mqtt.status(status())
        until(lambda: listener.last("edgecam/line 1/state"))
    assert not [topic for topic in listener.topics() if topic.startswith("homeassistant")]


# ---- availability


def test_online_and_offline_are_told_and_retained(broker: Mosquitto) -> None:
    with listening(broker) as listener:
        with sink(broker.uri):
            until(lambda: listener.last("edgecam/available") == b"online")
        until(lambda: listener.last("edgecam/available") == b"offline")
    with listening(broker) as late:
        until(lambda: late.last("edgecam/available") == b"offline")


def test_the_broker_says_offline_for_a_publisher_that_was_killed(broker: Mosquitto) -> None:
    script = f"""
import time
from edgecam.sinks.mqtt import Mqtt
Mqtt({broker.uri!r}, print)
time.sleep(60)
"""
    with listening(broker) as listener:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen([sys.executable, "-c", script], env=environ)
        try:
            until(lambda: listener.last("edgecam/available") == b"online")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        until(lambda: listener.last("edgecam/available") == b"offline")


# ---- who may


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


# ---- a broker that goes


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
