"""Joules for each inference: power sampled while the benchmark runs, integrated over its window.

Power is integrated by trapezoids between samples; counters are read at both ends. What was sampled too
seldom, or for too short, is refused rather than guessed.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np

from edgecam.bench.timing import Floats, Time
from edgecam.telemetry.meter import Meter, total_of
from edgecam_engines.errors import MeasurementError

LEAST_S: Final = 5.0  # of a window
SLOWEST_HZ: Final = 10.0
_SLACK: Final = 0.98  # a thread that wakes a little late is no gap
LONGEST_GAP_S: Final = 0.25
IDLE_S: Final = 5.0  # of the baseline


class Trace(NamedTuple):
    """Samples of a meter, in order."""

    at: Floats  # (n,) seconds
    rails: list[str]
    values: Floats  # (n, rails) watts, or joules so far where the meter counts
    counts: bool

    def joules(self, begin: float, end: float) -> dict[str, float]:
        """Energy of each rail between two moments. Raises MeasurementError for gaps and short windows."""
        _check(self.at, begin, end)
        if self.counts:
            spent = [float(np.diff(np.interp([begin, end], self.at, column))[0]) for column in self.values.T]
        else:
            inner = self.at[(self.at > begin) & (self.at < end)]
            moments = np.concatenate([[begin], inner, [end]])
            spent = [_area(moments, np.interp(moments, self.at, column)) for column in self.values.T]
        return dict(zip(self.rails, spent, strict=True))


class Energy(NamedTuple):
    """What a window took."""

    meter: str
    scope: str
    seconds: float
    frames: int
    hz: float  # samples a second
    rails: dict[str, float]  # joules
    total: float  # joules, of the rails that add up to the module's
    idle_w: float  # before the run, with the engine open

    def document(self) -> dict[str, Any]:
        above = self.total - self.idle_w * self.seconds
        return {
            "meter": self.meter,
            "scope": self.scope,
            "seconds": round(self.seconds, 3),
            "samples_per_s": round(self.hz, 1),
            "rails_j": {rail: round(joules, 3) for rail, joules in self.rails.items()},
            "total_j": round(self.total, 3),
            "mean_w": round(self.total / self.seconds, 3),
            "idle_w": round(self.idle_w, 3),
            "j_per_inference": round(self.total / self.frames, 6),
            "j_per_inference_above_idle": round(above / self.frames, 6),
        }


class Sampler:
    """Reads a meter until it is told to stop."""

    def __init__(self, meter: Meter, time: Time) -> None:
        self._meter, self._time = meter, time
        self._rows: list[tuple[float, dict[str, float]]] = []

    def follow(self, going: Callable[[], bool]) -> None:
        """Sample until `going` says no."""
        while going():
            began = self._time.now()
            values = self._meter.read()
            if values is not None:
                # Halfway between asking and being answered.
                self._rows.append(((began + self._time.now()) / 2, values))
            self._time.sleep(self._meter.interval)

    def trace(self) -> Trace:
        """What was sampled so far. Raises MeasurementError when nothing was."""
        rows = list(self._rows)
        if not rows:
            raise MeasurementError(f"--energy: {self._meter.name} gave no reading. Run it again.")
        rails = [rail for rail in rows[0][1] if all(rail in values for _, values in rows)]
        return Trace(
            np.array([at for at, _ in rows]),
            rails,
            np.array([[values[rail] for rail in rails] for _, values in rows]).reshape(len(rows), len(rails)),
            self._meter.counts,
        )


@contextmanager
def sampling(meter: Meter, time: Time) -> Iterator[Sampler]:
    """Sample in a thread of its own."""
    sampler, over = Sampler(meter, time), threading.Event()
    thread = threading.Thread(
        target=lambda: sampler.follow(lambda: not over.is_set()), name="edgecam-power", daemon=True
    )
    thread.start()
    try:
        yield sampler
    finally:
        over.set()
        thread.join()


def energy_of(
    meter: Meter, trace: Trace, idle: tuple[float, float], window: tuple[float, float], frames: int
) -> Energy:
    """Of two windows of a trace, (begin, end) each: one idle, one of the run. Raises MeasurementError."""
    rails = trace.joules(*window)
    resting = trace.joules(*idle)
    summed = total_of(list(rails))
    begin, end = window
    inside = int(((trace.at >= begin) & (trace.at <= end)).sum())
    return Energy(
        meter.name,
        meter.scope,
        end - begin,
        frames,
        inside / (end - begin),
        rails,
        sum(rails[rail] for rail in summed),
        sum(resting[rail] for rail in summed) / (idle[1] - idle[0]),
    )


def _check(at: Floats, begin: float, end: float) -> None:
    if end - begin < LEAST_S:
        raise MeasurementError(
            f"--energy: the window of {end - begin:.1f} s is too short; {LEAST_S:.0f} s or more are needed.\n"
            f"Give more --runs."
        )
    inside = at[(at >= begin) & (at <= end)]
    gap = float(np.diff(np.concatenate([[begin], inside, [end]])).max())
    hz = len(inside) / (end - begin)
    if gap > LONGEST_GAP_S or hz < SLOWEST_HZ * _SLACK:
        raise MeasurementError(
            f"--energy: power was sampled {hz:.1f} times a second with a gap of {gap:.2f} s; at least "
            f"{SLOWEST_HZ:.0f} times and no gap above {LONGEST_GAP_S} s are needed.\n"
            f"Leave a processor core free (--threads), and run it again."
        )


def _area(at: Floats, watts: Floats) -> float:
    return float(((watts[1:] + watts[:-1]) / 2 * np.diff(at)).sum())
