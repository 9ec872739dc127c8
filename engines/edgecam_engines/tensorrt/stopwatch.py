"""Where the time of a run goes: marks on the GPU's stream, and the host's clock around its own calls."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Literal

from edgecam_engines.cuda.calls import Cuda, Device
from edgecam_engines.engine import EngineStages

Stage = Literal["copy_in", "enqueue", "compute", "copy_out"]


class Stopwatch:
    """Times one run at a time, whatever number of pieces it goes in.

    Marks stand between graphs, never in one, where CUDA takes them for something else. So a card with memory
    of its own, whose graph holds its copies too, goes by three submissions while it is watched. Memory that
    is shared has no copies to submit.
    """

    def __init__(
        self, cuda: Cuda, stream: int, device: Device, clock: Callable[[], float], stack: ExitStack
    ) -> None:
        self._cuda, self._stream, self._clock = cuda, stream, clock
        self._steps: tuple[Stage, ...] = (
            ("compute",) if device.integrated else ("copy_in", "compute", "copy_out")
        )
        self._marks = [self._mark(stack) for _ in range(len(self._steps) + 1)]
        self._spent: dict[Stage, float] = {}

    def begin(self) -> None:
        """A new run."""
        self._spent = {}

    @contextmanager
    def host(self, stage: Stage) -> Iterator[None]:
        """What is done here is the host's part of this stage."""
        began = self._clock()
        yield
        self._add(stage, self._clock() - began)

    def submit(self, steps: dict[Stage, Callable[[], object]]) -> None:
        """Put copying in, computing and copying out on the stream, marked."""
        self._cuda.mark(self._marks[0], self._stream)
        for mark, stage in zip(self._marks[1:], self._steps, strict=True):
            with self.host("enqueue"):
                steps[stage]()
            self._cuda.mark(mark, self._stream)

    def arrived(self) -> None:
        """What was submitted has been waited for."""
        for stage, (first, second) in zip(self._steps, pairwise(self._marks), strict=True):
            self._add(stage, self._cuda.between(first, second))

    @property
    def stages(self) -> EngineStages:
        """Of this run."""
        spent = self._spent
        return EngineStages(
            spent.get("copy_in", 0.0),
            spent.get("enqueue", 0.0),
            spent.get("compute", 0.0),
            spent.get("copy_out", 0.0),
        )

    def _add(self, stage: Stage, seconds: float) -> None:
        self._spent[stage] = self._spent.get(stage, 0.0) + seconds

    def _mark(self, stack: ExitStack) -> int:
        mark = self._cuda.event()
        stack.callback(self._cuda.forget, mark)
        return mark
