"""A sink and listener that believes nothing: what it is given must prove itself by its own pixels."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

import psutil

from edgecam import live
from edgecam.decisions.event import Alarm, Event
from edgecam.loop.outputs import open_sinks
from edgecam.result import Result
from edgecam.sinks.sink import Finished, Sink
from edgecam.status import CameraStatus
from edgecam_engines.engine import Frame
from faults.sources import proof

IN_HAND: Final = 6  # frames on their way through the loop, at most


class Witness:
    """Checks every frame: whole, never twice, never older than the loop says, and every count."""

    pictures = False

    def __init__(
        self, done: Callable[["Witness"], bool], oldest_s: float = 1.0, keep: int | None = None
    ) -> None:
        """`keep`: how many of the last ages and times of arrival are kept; None: all."""
        self.frames: dict[str, int] = defaultdict(int)
        self.ages_ms: deque[float] = deque(maxlen=keep)
        self.arrived: deque[float] = deque(maxlen=keep)  # on the monotonic clock
        self.shapes: set[tuple[int, ...]] = set()
        self.statuses: list[CameraStatus] = []
        self._done, self._oldest_s, self._finished = done, oldest_s, False
        self._made: dict[str, float] = defaultdict(float)
        self._number: dict[str, int] = defaultdict(lambda: -1)

    def write(self, frame: Frame, result: Result) -> None:
        now, said = time.monotonic(), proof(frame)
        age = now - said.made
        assert self._made[result.camera] < said.made, "a frame that was delivered before"
        assert self._number[result.camera] < result.frame, "numbers go up, whoever reads"
        assert age < self._oldest_s, f"a frame that is {age:.2f} s old"
        assert 0 <= result.age_ms <= age * 1e3 + 1, "an age that is not the frame's"
        assert result.skipped == result.frame - self.frames[result.camera]
        self._made[result.camera], self._number[result.camera] = said.made, result.frame
        self.frames[result.camera] += 1
        self.ages_ms.append(result.age_ms)
        self.arrived.append(now)
        self.shapes.add(frame.shape)
        self._end_if_done()

    def status(self, status: CameraStatus, /) -> None:
        if not self.statuses or self.statuses[-1] != status:
            self.statuses.append(status)
        assert 0 <= status.captured - status.processed - status.skipped <= IN_HAND, status
        self._end_if_done()

    def event(self, event: Event, /) -> None:
        pass

    def alarm(self, alarm: Alarm, /) -> None:
        pass

    def close(self) -> None:
        pass

    def states(self, camera: str) -> list[str]:
        """Every change of a camera's state, in order."""
        states = [status.state for status in self.statuses if status.camera == camera]
        return [state for i, state in enumerate(states) if i == 0 or states[i - 1] != state]

    def last(self, camera: str) -> CameraStatus:
        """What was told of a camera at the end."""
        return [status for status in self.statuses if status.camera == camera][-1]

    def _end_if_done(self) -> None:
        if not self._finished and self._done(self):
            self._finished = True
            raise Finished


@contextmanager
def beside(witness: Sink) -> Iterator[list[Sink]]:
    """The real loop has one more output while inside; all of them, once it has opened them."""
    sinks: list[Sink] = []

    def opened(*given: Any) -> list[Sink]:
        sinks[:] = [*open_sinks(*given), witness]
        return sinks

    with patch.object(live, "open_sinks", opened):
        yield sinks


def readers(of: int | None = None) -> list[psutil.Process]:
    """The reader processes of a process, this one if none is named."""
    return [child for child in psutil.Process(of).children() if name_of(child) == "edgecam-reader"]


def name_of(process: psutil.Process) -> str:
    """What a process is called; nothing when it is gone."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def open_files() -> int:
    """How many file descriptors this process has."""
    return psutil.Process().num_fds()


def wait_for(what: Callable[[], object], seconds: float = 10.0) -> float:
    """Look until it is true; how many seconds that took. Fails after `seconds`."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, "it never came true"
        time.sleep(0.005)
    return time.monotonic() - began
