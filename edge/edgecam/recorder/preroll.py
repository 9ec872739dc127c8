"""The last seconds, as JPEGs in bounded memory, because nobody knows beforehand when an event begins."""

from collections import deque
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from edgecam_engines.engine import Frame

LIMIT_BYTES: Final = 64 << 20  # a camera
QUALITY: Final = 85


@dataclass
class Held:
    """One frame in memory."""

    at_s: float
    captured_at: float
    jpeg: bytes
    wanted: bool
    after_gap: bool = False  # frames between this one and the one before were let go

    def frame(self) -> Frame:
        """Decoded; close to what was held, not the same."""
        return np.asarray(cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR), dtype=np.uint8)


def hold(frame: Frame, at_s: float, captured_at: float, wanted: bool) -> Held:
    """Compress one frame."""
    done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return Held(at_s, captured_at, np.asarray(data).tobytes(), wanted)


class PreRoll:
    """Frames in order. Those that are wanted wait to be written; the others are let go with age."""

    def __init__(self, seconds: float, limit_bytes: int = LIMIT_BYTES) -> None:
        self.lost = 0  # frames that were wanted and did not fit
        self.shortened = False  # whether one that was young enough went because of the bytes
        self.bytes = 0
        self._seconds, self._limit_bytes = seconds, limit_bytes
        self._held: deque[Held] = deque()
        self._waiting = 0  # of them are wanted

    def __bool__(self) -> bool:
        """Whether frames are waiting to be written."""
        return self._waiting > 0

    def add(self, held: Held) -> None:
        """Put one at the end; what is too old or too much goes from the front."""
        self._held.append(held)
        self._waiting += held.wanted
        self.bytes += len(held.jpeg)
        while self._held and not self._held[0].wanted and self._held[0].at_s < held.at_s - self._seconds:
            self._drop()
        while self.bytes > self._limit_bytes:
            self.lost += self._drop().wanted
            self.shortened = True

    def want_from(self, at_s: float) -> None:
        """Everything from this time on is wanted; what is older and was not wanted before goes."""
        for held in self._held:
            held.wanted = held.wanted or held.at_s >= at_s
        self._waiting = sum(held.wanted for held in self._held)
        while self._held and not self._held[0].wanted:
            self._drop()

    def next(self) -> Held | None:
        """The next that waits to be written."""
        if not self:
            return None
        held = self._drop()
        while not held.wanted:
            held = self._drop()
            held.after_gap = True
        return held

    def _drop(self) -> Held:
        held = self._held.popleft()
        self.bytes -= len(held.jpeg)
        self._waiting -= held.wanted
        return held
