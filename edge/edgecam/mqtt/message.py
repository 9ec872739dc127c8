"""One thing to publish."""

import json
from typing import Any, Final, Literal, NamedTuple

import cv2
import numpy as np

from edgecam_engines.engine import Frame

QUALITY: Final = 85  # of JPEGs

Kind = Literal["start", "update", "end", "alarm", "latest"]


class Snapshot:
    """A frame that becomes a JPEG: encoded once, by the thread that publishes, and then let go."""

    def __init__(self, frame: Frame) -> None:
        self._frame: Frame | None = frame
        self._jpeg = b""

    def __len__(self) -> int:
        """Bytes that it holds in memory."""
        return len(self._jpeg) if self._frame is None else self._frame.nbytes

    def jpeg(self) -> bytes:
        """The frame as JPEG. Called by one thread only."""
        if self._frame is not None:
            done, data = cv2.imencode(".jpg", self._frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            self._jpeg = np.asarray(data).tobytes() if done else b""
            self._frame = None
        return self._jpeg


def encode(document: dict[str, Any]) -> bytes:
    """A JSON document as a payload."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


class Message(NamedTuple):
    """What is published where. With QoS 1 it counts as told only when the broker acknowledged it."""

    topic: str
    payload: bytes | Snapshot
    kind: Kind  # decides what a full outbox throws away
    qos: int = 1
    retain: bool = False

    def content(self) -> bytes:
        """The bytes to publish; encodes a snapshot."""
        return self.payload if isinstance(self.payload, bytes) else self.payload.jpeg()
