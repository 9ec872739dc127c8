"""The last answers of one camera: rate and percentiles of a minute, and a summary of each second."""

from collections import deque
from collections.abc import Sequence
from itertools import takewhile
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

MINUTE_S: Final = 60.0
MOST: Final = 6000  # answers that are remembered: a minute at 100 a second
SECONDS: Final = 300  # seconds that are remembered


class Answer(NamedTuple):
    """One answer, as far as its timing goes."""

    at: float  # monotonic
    age_ms: float


class Second(NamedTuple):
    """All answers of one second."""

    at: int  # seconds since the epoch
    answers: int
    age_ms: float  # the mean
    worst_ms: float  # the oldest


class Timing(NamedTuple):
    """How fast and how fresh the answers of the last minute were; None where there were none."""

    fps: float
    age_ms: dict[str, float] | None  # p50, p95, p99
    interval_ms: dict[str, float] | None  # between two answers


class Recent:
    """Bounded, and guarded by whoever owns it."""

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque(maxlen=MOST)
        self.seconds: deque[Second] = deque(maxlen=SECONDS)

    def add(self, at: float, age_ms: float, epoch_s: float) -> None:
        """One more answer; `at` is monotonic."""
        self.answers.append(Answer(at, age_ms))
        second = int(epoch_s)
        if self.seconds and self.seconds[-1].at == second:
            last = self.seconds[-1]
            n = last.answers + 1
            mean = last.age_ms + (age_ms - last.age_ms) / n
            self.seconds[-1] = Second(second, n, round(mean, 2), round(max(last.worst_ms, age_ms), 2))
        else:
            self.seconds.append(Second(second, 1, round(age_ms, 2), round(age_ms, 2)))


def timing(answers: Sequence[Answer], now: float) -> Timing:
    """Of the last minute."""
    kept = [answer for answer in answers if now - answer.at <= MINUTE_S]
    if not kept:
        return Timing(0.0, None, None)
    intervals = np.diff([answer.at for answer in kept]) * 1e3
    return Timing(rate(kept, now), percentiles([a.age_ms for a in kept]), percentiles(intervals))


def rate(answers: Sequence[Answer], now: float, over_s: float = 5.0) -> float:
    """Answers a second over the last few seconds; 0 when they ceased."""
    kept = [answer.at for answer in takewhile(lambda answer: now - answer.at <= over_s, reversed(answers))]
    # From the first to now, not to the last: a loop that stands still slows down to 0.
    return (len(kept) - 1) / (now - kept[-1]) if len(kept) > 1 and now > kept[-1] else 0.0


def percentiles(values: ArrayLike) -> dict[str, float] | None:
    """Median, 95th and 99th; None of nothing."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return None
    found = np.percentile(array, [50, 95, 99])
    return {name: round(float(value), 2) for name, value in zip(("p50", "p95", "p99"), found, strict=True)}
