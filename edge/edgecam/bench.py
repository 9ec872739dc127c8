"""How long one frame takes: one frame after another, each drawn before the next is taken.

What runs is the loop's own code (`recognise`, `overlay.draw`); a clock stands before and after the engine.
Percentiles are order statistics: each is a time that was measured, none is interpolated. One caution: a
closed loop hides queueing, so a camera that is faster than the engine waits longer than these times.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam.recognise import recognise
from edgecam.result import Result
from edgecam.sources.source import Shot
from edgecam_engines.engine import Engine, Features, Frame, Frames
from edgecam_engines.head import Head

SCENARIO: Final = "single-stream"
FRAME_HW: Final = (720, 1280)  # pixels, what most cameras give
WARM_UP: Final = 20  # runs before the clock counts: caches fill, clocks rise, buffers are made
PERCENTILES: Final = (50, 90, 95, 99)

Clock = Callable[[], float]  # seconds, from any start, never backwards
Draw = Callable[[Frame, Result], object]


class Stages(NamedTuple):
    """One frame's way, or many frames'."""

    prepare: float  # fit the frame to the input
    infer: float  # the engine
    head: float  # logits, ranking, the best class's map and its box
    overlay: float  # heat, box and words drawn on the frame


class Measured(NamedTuple):
    """The runs after warm-up, in order."""

    engine: str
    seconds: NDArray[np.float64]  # (runs, 4), a column for each of Stages

    @property
    def latency_ms(self) -> NDArray[np.float64]:
        """(runs,): from a frame in memory to the frame drawn."""
        return np.asarray(self.seconds.sum(axis=1) * 1e3, dtype=np.float64)


class TimedEngine:
    """An engine that notes when its last call began and ended."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self.name, self.input_hw = engine.name, engine.input_hw
        self.began = self.ended = 0.0

    def infer(self, frames: Frames, /) -> Features:
        self.began = self._clock()
        features = self._engine.infer(frames)
        self.ended = self._clock()
        return features

    def close(self) -> None:
        self._engine.close()


def measure(
    engine: Engine,
    head: Head,
    frame: Frame,
    draw: Draw,
    *,
    runs: int,
    warm_up: int = WARM_UP,
    clock: Clock = time.perf_counter,
) -> Measured:
    """Time `runs` frames after `warm_up` untimed ones. The frame itself stays as it is."""
    timed = TimedEngine(engine, clock)
    times = [_one(timed, head, frame.copy(), draw, clock) for _ in range(warm_up + runs)]
    return Measured(engine.name, np.array(times[warm_up:], dtype=np.float64))


def _one(engine: TimedEngine, head: Head, frame: Frame, draw: Draw, clock: Clock) -> Stages:
    started = clock()
    shot = Shot(frame, number=0, captured=0.0, captured_at=0.0)
    # Without a threshold the map is always made and drawn: the dearest case.
    result = recognise(shot, engine, head, threshold=0.0, now=lambda: 0.0)
    recognised = clock()
    draw(frame, result)
    return Stages(
        prepare=engine.began - started,
        infer=engine.ended - engine.began,
        head=recognised - engine.ended,
        overlay=clock() - recognised,
    )


def synthetic_frame(hw: tuple[int, int] = FRAME_HW) -> Frame:
    """A picture with edges, areas and texture (H, W, 3), the same on every machine."""
    h, w = hw
    rows, columns = np.mgrid[0:h, 0:w]
    frame = np.stack([255 * columns / w, 255 * rows / h, 128 + 60 * np.sin((rows + columns) / 9)], axis=-1)
    picture = np.ascontiguousarray(frame.astype(np.uint8))
    cv2.circle(picture, (w // 3, h // 2), h // 5, (30, 60, 220), cv2.FILLED)
    cv2.rectangle(picture, (3 * w // 5, h // 4), (4 * w // 5, 3 * h // 4), (200, 180, 40), cv2.FILLED)
    return picture


def order_statistic(values: Sequence[float] | NDArray[np.float64], percent: int) -> float:
    """The smallest measured value with at least `percent` of all values at or below it."""
    ordered = sorted(float(value) for value in values)
    return ordered[-(-len(ordered) * percent // 100) - 1]  # whole numbers: 0.99 * 700 need not be 693


def upper_bound(
    values: Sequence[float] | NDArray[np.float64], percent: int, confidence: float = 0.99
) -> float | None:
    """A measured value that the true percentile stays below with `confidence`; None for too few values.

    p90 needs 64 values, p99 needs 662. Source: the early stopping rule of MLPerf Inference.
    """
    ordered = sorted(float(value) for value in values)
    n, over = len(ordered), 0
    tail = 0.0  # chance that at most `over - 1` of n values lie above the true percentile
    while over <= n:
        tail += _binomial(n, over, 1 - percent / 100)
        if tail > 1 - confidence:
            break
        over += 1
    worst_allowed = over - 1
    return ordered[n - worst_allowed] if worst_allowed >= 1 else None


def _binomial(n: int, k: int, p: float) -> float:
    """Chance of k hits in n tries, by logarithms, since n! overflows."""
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(ways + k * math.log(p) + (n - k) * math.log1p(-p))


def report(measured: Measured, provenance: dict[str, Any]) -> dict[str, Any]:
    """What `edgecam bench --json` prints; scripts rely on its keys. Microseconds are the last digit told."""
    latency = measured.latency_ms
    return {
        "scenario": SCENARIO,
        "engine": measured.engine,
        "runs": len(latency),
        "latency_ms": {f"p{p}": round(order_statistic(latency, p), 3) for p in PERCENTILES},
        "stages_ms": {
            stage: round(order_statistic(column * 1e3, 50), 3)
            for stage, column in zip(Stages._fields, measured.seconds.T, strict=True)
        },
        "throughput_per_s": round(1e3 * len(latency) / float(latency.sum()), 2),
        "provenance": provenance,
    }
