"""What the tests of the bench share: time that passes when somebody says so, servers of known speed."""

from collections.abc import Callable, Iterator
from itertools import cycle, repeat

from edgecam.bench.timing import Time


class SimulatedTime:
    """A clock, a sleep and a processor clock over one number."""

    def __init__(self) -> None:
        self.at = 0.0
        self.busy = 0.0  # processor seconds
        self.slept: list[float] = []

    @property
    def time(self) -> Time:
        return Time(lambda: self.at, self.sleep, lambda: self.busy)

    def sleep(self, seconds: float) -> None:
        assert seconds > 0, "nobody sleeps for no time"
        self.slept.append(seconds)
        self.at += seconds

    def work(self, seconds: float) -> None:
        self.at += seconds
        self.busy += seconds


class Server:
    """Takes the next of these times, in seconds, for each query, whatever its number of frames."""

    def __init__(self, clock: SimulatedTime, service: Iterator[float]) -> None:
        self._clock, self._service = clock, service
        self.frames: list[int] = []
        self._ready = 0

    def ready(self, frames: int, /) -> None:
        self._ready = frames

    def answer(self, frames: int, /) -> None:
        assert frames == self._ready, "what is answered was made ready before"
        self._ready = 0
        self.frames.append(frames)
        self._clock.work(next(self._service))


def constant(clock: SimulatedTime, seconds: float) -> Server:
    return Server(clock, repeat(seconds))


def stalling(clock: SimulatedTime, seconds: float, stall: float, every: int) -> Server:
    """Every `every`-th call takes `stall` seconds instead."""
    return Server(clock, cycle([seconds] * (every - 1) + [stall]))


def of(clock: SimulatedTime, draw: Callable[[], float]) -> Server:
    return Server(clock, iter(draw, None))
