"""The MQTT sink against a real broker: what is told, to whom, and what is kept."""

import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np

from edge.mqtt_kit import FRAME, documents, sink
from edge.parts import mosquitto
from edge.parts.mosquitto import Mosquitto, listening, until
from edge.test_sinks import result
from edge.told_kit import alarm, event, status
from edgecam.mqtt import discovery
from edgecam.mqtt.topics import Topics
from edgecam.sinks.listener import Listener

broker = mosquitto.broker

# -- what is told


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


# -- Home Assistant


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


# -- availability


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
