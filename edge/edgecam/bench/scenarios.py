"""How queries are given to what is measured. The first four are MLPerf Inference's, by its names.

    single-stream   one frame, the next when it is answered; its figure is the p90 (MLPerf SingleStream)
    multi-stream    eight frames at once, the next eight when they are answered; p99 (MultiStream)
    offline         all frames are there from the start; frames a second (Offline)
    server          Poisson arrivals that wait for nobody; the highest rate whose p99 holds a bound (Server)
    camera          frames at an even pace, only the newest is looked at; age of a frame at its answer, drops
    soak            single-stream for a long time: does it get slower as it gets warm

In the first three the next query waits for the last one, so a stall delays what comes after it and is
counted once: they hide queueing. In `server` and `camera` latency counts from when a query was due.
"""

from typing import Protocol

import numpy as np

from edgecam.bench.names import CAMERA, OFFLINE, SERVER, SINGLE_STREAM, SOAK
from edgecam.bench.record import Marks, Run
from edgecam.bench.timing import Floats, Time


class Work(Protocol):
    """What is measured."""

    def ready(self, frames: int, /) -> None:
        """Have this many frames at hand. Not timed."""
        ...

    def answer(self, frames: int, /) -> None:
        """Answer them. Timed."""
        ...


def warm(work: Work, time: Time, calls: int, per_query: int = 1) -> Floats:
    """Calls before the clock counts: caches fill, clocks rise, buffers are made. (calls,) seconds each."""
    taken = np.zeros(calls)
    for i in range(calls):
        work.ready(per_query)
        began = time.now()
        work.answer(per_query)
        taken[i] = time.now() - began
    return taken


def closed_loop(
    work: Work,
    time: Time,
    *,
    queries: int,
    per_query: int = 1,
    warm_up: int = 0,
    scenario: str = SINGLE_STREAM,
) -> Run:
    """The next query when the last one is answered: SingleStream, or MultiStream for several frames."""
    warmed, marks, zero = warm(work, time, warm_up, per_query), Marks(), time.now()
    for _ in range(queries):
        _timed(work, time, marks, zero, per_query, due=None)
    return marks.run(scenario, per_query, warmed)


def offline(work: Work, time: Time, *, batches: int, batch: int, warm_up: int = 0) -> Run:
    """All frames are there at once and are taken in batches; each is due at the start."""
    warmed, marks, zero = warm(work, time, warm_up, batch), Marks(), time.now()
    for _ in range(batches):
        _timed(work, time, marks, zero, batch, due=0.0)
    return marks.run(OFFLINE, batch, warmed)


def open_loop(work: Work, time: Time, arrivals: Floats, *, warm_up: int = 0) -> Run:
    """One frame at each arrival (n,), first come first served. Arrivals wait for nobody."""
    warmed, marks, zero = warm(work, time, warm_up), Marks(), time.now()
    for due in arrivals.tolist():
        _timed(work, time, marks, zero, 1, due=due)
    return marks.run(SERVER, 1, warmed)


def camera(work: Work, time: Time, *, fps: float, frames: int, warm_up: int = 0) -> Run:
    """`frames` frames at an even pace. The newest is taken; older ones are dropped and counted."""
    warmed, marks, zero = warm(work, time, warm_up), Marks(), time.now()
    taken = 0  # number of the next frame that nobody has seen
    looked = 0
    while taken < frames:
        number = max(taken, int((time.now() - zero) * fps + 1e-9))
        if number >= frames:
            break  # the camera has stopped, and what it gave last is stale
        _timed(work, time, marks, zero, 1, due=number / fps)
        taken, looked = number + 1, looked + 1
    return marks.run(CAMERA, 1, warmed, dropped=frames - looked)


def soak(work: Work, time: Time, *, seconds: float, warm_up: int = 0) -> Run:
    """Single-stream until `seconds` have passed."""
    warmed, marks, zero = warm(work, time, warm_up), Marks(), time.now()
    while time.now() - zero < seconds:
        _timed(work, time, marks, zero, 1, due=None)
    return marks.run(SOAK, 1, warmed)


def _timed(work: Work, time: Time, marks: Marks, zero: float, frames: int, due: float | None) -> None:
    work.ready(frames)
    if due is not None:
        time.until(zero + due)
    cpu, started = time.cpu(), time.now() - zero
    work.answer(frames)
    finished, spent = time.now() - zero, time.cpu() - cpu
    marks.add(started if due is None else due, started, finished, spent)
