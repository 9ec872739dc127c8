"""What Home Assistant is told: documents that it accepts, about topics that exist."""

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edgecam.mqtt.discovery import documents
from edgecam.mqtt.topics import Topics

TOPICS = Topics("plant/line")


def told(camera: str) -> dict[str, dict[str, Any]]:
    return {m.topic: json.loads(m.content()) for m in documents(TOPICS, camera)}


@given(st.text(st.characters(), max_size=30))
def test_any_camera_gets_topics_and_identifiers_that_are_allowed(camera: str) -> None:
    found = told(camera)
    assert len(found) == 5
    for topic in found:
        assert re.fullmatch(r"homeassistant/[a-z_]+/[A-Za-z0-9_-]+/[a-z]+/config", topic)
    assert len({document["unique_id"] for document in found.values()}) == 5
    assert all(m.retain and m.qos == 1 for m in documents(TOPICS, camera))


def test_two_cameras_are_two_devices() -> None:
    devices = [told(camera)[next(iter(told(camera)))]["device"]["identifiers"] for camera in ("a", "b")]
    assert devices == [["plant_line-bb5e_a"], ["plant_line-bb5e_b"]]


def test_each_entity_reads_the_topic_that_we_publish() -> None:
    by_object = {topic.split("/")[3]: document for topic, document in told("line 1").items()}
    assert by_object["label"]["state_topic"] == TOPICS.result("line 1") == "plant/line/line 1/result"
    assert by_object["confidence"]["state_topic"] == TOPICS.result("line 1")
    assert by_object["connectivity"]["state_topic"] == TOPICS.state("line 1")
    assert by_object["connectivity"]["device_class"] == "connectivity"
    assert by_object["alarm"]["state_topic"] == TOPICS.alarm("line 1")
    assert by_object["alarm"]["device_class"] == "problem"
    assert by_object["snapshot"]["image_topic"] == TOPICS.snapshot("line 1")


def test_an_answer_is_available_only_while_its_camera_is_live() -> None:
    by_object = {topic.split("/")[3]: document for topic, document in told("line 1").items()}
    for name in ("label", "confidence"):
        needed = by_object[name]["availability"]
        assert [n["topic"] for n in needed] == ["plant/line/available", "plant/line/line 1/state"]
        assert by_object[name]["availability_mode"] == "all"
    assert [n["topic"] for n in by_object["connectivity"]["availability"]] == ["plant/line/available"]
