"""What a scenario leaves: every query, raw, in order."""

from typing import NamedTuple

import numpy as np

from edgecam.bench.names import OPEN
from edgecam.bench.timing import Floats


class Run(NamedTuple):
    """One scenario's timed queries. Seconds since its start; warm-up is kept apart and never counted."""

    scenario: str
    scheduled: Floats  # (n,) when each query was due; in a closed loop, when the one before it had ended
    started: Floats  # (n,)
    finished: Floats  # (n,)
    cpu: Floats  # (n,) processor seconds of this process within each
    per_query: int  # frames in each query
    warm_up: Floats  # (w,) seconds that each untimed call before the first query took
    dropped: int = 0  # frames that came and nobody looked at

    @property
    def latency(self) -> Floats:
        """(n,) from when it was due to its answer: waiting counts."""
        return self.finished - self.scheduled

    @property
    def service(self) -> Floats:
        """(n,) from its begin to its answer: waiting does not count."""
        return self.finished - self.started

    @property
    def frames(self) -> int:
        return len(self.finished) * self.per_query

    @property
    def throughput(self) -> float:
        """Frames a second: of the time spent on them, or where frames come by themselves, of all the time."""
        if self.scenario in OPEN:
            return self.frames / float(self.finished[-1] - self.scheduled[0])
        return self.frames / float(self.service.sum())


class Marks:
    """Collects a Run while it goes on."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, float, float, float]] = []

    def add(self, scheduled: float, started: float, finished: float, cpu: float) -> None:
        self._rows.append((scheduled, started, finished, cpu))

    def run(self, scenario: str, per_query: int, warm_up: Floats, dropped: int = 0) -> Run:
        due, started, finished, cpu = np.array(self._rows, dtype=np.float64).reshape(-1, 4).T
        return Run(scenario, due, started, finished, cpu, per_query, warm_up, dropped)
