"""The clocks that a benchmark reads and the sleep it waits with: arguments, so that tests own the time."""

import time
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Clock: TypeAlias = Callable[[], float]  # seconds, from any start, never backwards
Floats: TypeAlias = NDArray[np.float64]


class Time(NamedTuple):
    """What passes and how to let it pass."""

    now: Clock
    sleep: Callable[[float], None]  # seconds
    cpu: Clock  # processor seconds of this process, all threads

    def until(self, moment: float) -> None:
        """Sleep until the clock shows `moment`; not at all when it is past."""
        while (left := moment - self.now()) > 0:
            self.sleep(left)


REAL: Final = Time(time.perf_counter, time.sleep, time.process_time)
