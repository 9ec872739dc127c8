"""The MQTT sink beside a real broker, and what arrived there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from edge.parts.mosquitto import Listening
from edgecam.sinks.mqtt import Mqtt

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
