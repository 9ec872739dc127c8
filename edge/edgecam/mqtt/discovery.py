"""Home Assistant's discovery: one device a camera, its entities as retained documents.

Source: Home Assistant's documentation of MQTT discovery. The topic of a document is
`homeassistant/KIND/NODE/OBJECT/config`; node and object may hold letters, digits, `-` and `_` alone.
"""

from typing import Any, Final

from edgecam.mqtt.message import Message, encode
from edgecam.mqtt.topics import Topics
from edgecam.naming import slug

ROOT: Final = "homeassistant"
BIRTH: Final = f"{ROOT}/status"  # Home Assistant says `online` here when it starts
_LIVE: Final = "{{ 'online' if value_json.state == 'live' else 'offline' }}"


def documents(topics: Topics, camera: str) -> list[Message]:
    """Everything that Home Assistant must know about one camera."""
    node = f"{slug(topics.prefix)}_{slug(camera)}"
    device = {"identifiers": [node], "name": camera or topics.prefix, "manufacturer": "edgecam"}
    return [
        Message(
            f"{ROOT}/{kind}/{node}/{object_id}/config",
            encode({"unique_id": f"{node}_{object_id}", "device": device, **entity}),
            "latest",
            retain=True,
        )
        for kind, object_id, entity in _entities(topics, camera)
    ]


def _entities(topics: Topics, camera: str) -> list[tuple[str, str, dict[str, Any]]]:
    process = {"topic": topics.available}
    live = {"topic": topics.state(camera), "value_template": _LIVE}
    # An answer is no answer while the camera gives no frames, so those entities need both.
    while_live: dict[str, Any] = {"availability": [process, live], "availability_mode": "all"}
    while_running: dict[str, Any] = {"availability": [process]}
    result = topics.result(camera)
    return [
        (
            "sensor",
            "label",
            {
                "name": "Label",
                "state_topic": result,
                "value_template": "{{ value_json.label }}",
                **while_live,
            },
        ),
        (
            "sensor",
            "confidence",
            {
                "name": "Confidence",
                "state_topic": result,
                "value_template": "{{ (value_json.confidence * 100) | round(1) }}",
                "unit_of_measurement": "%",
                "state_class": "measurement",
                **while_live,
            },
        ),
        (
            "binary_sensor",
            "connectivity",
            {
                "name": "Camera",
                "device_class": "connectivity",
                "entity_category": "diagnostic",
                "state_topic": topics.state(camera),
                "value_template": "{{ 'ON' if value_json.state == 'live' else 'OFF' }}",
                **while_running,
            },
        ),
        (
            "binary_sensor",
            "alarm",
            {
                "name": "Alarm",
                "device_class": "problem",
                "state_topic": topics.alarm(camera),
                **while_running,
            },
        ),
        (
            "image",
            "snapshot",
            {
                "name": "Last event",
                "image_topic": topics.snapshot(camera),
                "content_type": "image/jpeg",
                **while_running,
            },
        ),
    ]
