"""Live sources for the reader process, told by their URI to misbehave. Every frame proves what it is.

The first bytes of a frame are its number in this process and the time at which it was made, on the
monotonic clock, so a frame that is old, torn or delivered twice gives itself away.
"""

import os
import struct
import time
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import numpy as np

from edgecam.sources import Say
from edgecam_engines.engine import Frame
from edgecam_engines.errors import SourceError

OPENER: Final = "faults.sources:open_scripted"
_PROOF: Final = struct.Struct("=Qd")


class Proof(NamedTuple):
    """What a frame says of itself."""

    number: int
    made: float  # seconds on the monotonic clock


def proof(frame: Frame) -> Proof:
    """Read it, and check that no part of the frame is another frame's."""
    rows = frame.reshape(frame.shape[0], -1)
    said = Proof(*_PROOF.unpack(rows[0, : _PROOF.size].tobytes()))
    assert (rows[1:] == said.number % 251).all(), f"frame {said.number} is torn"
    return said


class Scripted:
    """Gives numbered frames until its script says otherwise."""

    live = True

    def __init__(self, script: dict[str, str]) -> None:
        self.name = script.get("name", "scripted camera")
        self.fps = float(script.get("fps", 100))
        self._interval_s = float(script.get("interval", 1 / self.fps))
        self._shapes = [tuple(map(int, hw.split("x"))) for hw in script.get("hw", "24x32").split(",")]
        self._shape_for = int(script.get("shape_for", 10))  # frames before the next shape
        self._path = Path(script["while"]) if "while" in script else None
        self._fate = {
            after: int(script[after]) for after in ("die", "hang", "lose", "end") if after in script
        }
        self._stamped = "stamped" in script
        self._number = -1
        self._made = time.monotonic()
        if _gone(self._path):
            raise SourceError(f"There is no camera {self.name}.\nPlug one in.")

    def grab(self) -> bool:
        self._number += 1
        for fate, after in self._fate.items():
            if self._number >= after:
                return self._meet(fate)
        time.sleep(max(0.0, self._made + self._interval_s - time.monotonic()))
        self._made = time.monotonic()
        return self._meet("lose") if _gone(self._path) else True

    def retrieve(self) -> Frame:
        return self._drawn(np.empty(self._shape(), np.uint8))

    def _shape(self) -> tuple[int, ...]:
        return *self._shapes[self._number // self._shape_for % len(self._shapes)], 3

    def _drawn(self, frame: Frame) -> Frame:
        frame.fill(self._number % 251)
        h = len(frame)
        frame.reshape(h, -1)[0, : _PROOF.size] = np.frombuffer(
            _PROOF.pack(self._number, self._made), np.uint8
        )
        return frame

    def stamp(self) -> float | None:
        return self._made if self._stamped else None

    def close(self) -> None:
        pass

    def _meet(self, fate: str) -> bool:
        if fate == "die":
            os._exit(7)
        if fate == "hang":
            time.sleep(3600)
        if fate == "lose":
            raise SourceError(f"{self.name} stopped giving frames.")
        return False


class Filling(Scripted):
    """Puts its frames where they are wanted, as OpenCV can."""

    def retrieve_into(self, room: Frame, /) -> Frame:
        return self._drawn(room) if room.shape == self._shape() else self.retrieve()


class LettingGo(Scripted):
    """Receives ahead: lets some frames go for newer ones before each that it gives, and says how many."""

    counts_all = True

    def __init__(self, script: dict[str, str]) -> None:
        super().__init__(script)
        self.missed, self._each = 0, int(script["let_go"])

    def grab(self) -> bool:
        self._number += self._each
        self.missed += self._each
        return super().grab()


def _gone(path: Path | None) -> bool:
    return path is not None and not path.exists()


def open_scripted(uri: str, say: Say) -> Scripted:
    """Open scripted://?fps=100&die=20 and the like."""
    script = {key: values[-1] for key, values in parse_qs(urlsplit(uri).query).items()}
    if "say" in script:
        say(script["say"])
    if "stuck_while" in script and Path(script["stuck_while"]).exists():
        time.sleep(3600)
    if "break" in script:
        raise ValueError(script["break"])
    if "slow" in script:
        time.sleep(float(script["slow"]))
    if "let_go" in script:
        return LettingGo(script)
    return Filling(script) if "into" in script else Scripted(script)
