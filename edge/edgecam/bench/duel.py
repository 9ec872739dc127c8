"""Two programs in turn, frame by frame, each started anew several times."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final, NamedTuple

import numpy as np

from edgecam.bench.against import Rival, Spent
from edgecam.bench.compare import Comparison, paired
from edgecam.bench.timing import Floats
from edgecam_engines.errors import MeasurementError

# Enough to find 5 % under load: with processes that differ by 2 % and frames by 12 %, 16 of 64 frames find it
# in 99 of 100 simulated tries, 10 of 40 in 82 to 87.
PROCESSES: Final = 16
LEAST_FRAMES: Final = 64  # of each process
Start = Callable[[], AbstractContextManager[Rival]]


class _Life(NamedTuple):
    """One program from start to end."""

    name: str
    spent: list[Spent]


class Side(NamedTuple):
    """One of the two programs. Seconds."""

    name: str
    wall: Floats  # (processes, frames)
    cpu: Floats | None  # (processes, frames), where the program tells


class Duel(NamedTuple):
    """Both, a[i, j] measured just before or after b[i, j]."""

    a: Side
    b: Side

    def compared(self, *, on_cpu: bool) -> Comparison:
        """By processor time, the steadier figure, where a CPU does the work and both tell it.

        Raises MeasurementError.
        """
        cpu = (self.a.cpu, self.b.cpu)
        try:
            if on_cpu and cpu[0] is not None and cpu[1] is not None:
                return paired(cpu[0], cpu[1], "cpu")
            return paired(self.a.wall, self.b.wall, "latency")
        except ValueError as error:
            raise MeasurementError(f"{self.a.name} and {self.b.name} cannot be compared: {error}.") from error


def duel(a: Start, b: Start, *, frames: int, warm_up: int, processes: int = PROCESSES) -> Duel:
    """`frames` frames of each in each of `processes` lives. Raises MeasurementError."""
    lives = []
    for number in range(processes):
        # Who is started first changes too: it matters, and `paired` takes it out.
        begun = _one_life(a, b, frames, warm_up) if number % 2 == 0 else _one_life(b, a, frames, warm_up)
        lives.append(begun if number % 2 == 0 else begun[::-1])
    ours, theirs = zip(*lives, strict=True)
    return Duel(_side(ours), _side(theirs))


def _one_life(a: Start, b: Start, frames: int, warm_up: int) -> tuple[_Life, _Life]:
    with a() as first, b() as second:
        for rival in (first, second):
            rival.run(warm_up)
        spent: tuple[list[Spent], list[Spent]] = ([], [])
        for number in range(frames):
            # Who begins changes, so that neither always finds the caches as the other left them.
            for side in (0, 1) if number % 2 == 0 else (1, 0):
                spent[side].append((first, second)[side].run(1))
        return _Life(first.name, spent[0]), _Life(second.name, spent[1])


def _side(lives: Sequence[_Life]) -> Side:
    wall = np.array([[each.wall for each in life.spent] for life in lives])
    told = [each.cpu for life in lives for each in life.spent if each.cpu is not None]
    cpu = np.array(told).reshape(wall.shape) if len(told) == wall.size else None
    return Side(lives[0].name, wall, cpu)
