"""The processor time that a reader process adds to a 720p frame, against a thread that reads the same source.

    python tests/benchmarks/isolation_cost.py [--rounds 9] [--seconds 3] [--fps 60] [--copied]

Both give the same frames to the same taker, which fits each to an engine's input. Rounds are interleaved, so
a busy machine slows both alike; differences are taken within a round. Both processes count; starting one
does not. The source puts its frame where it is wanted, as OpenCV's do; with --copied it cannot.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from table import show

from edgecam.isolation.process import Job
from edgecam.isolation.reader import ProcessReader
from edgecam.sources.reader import Reader, ThreadReader
from edgecam.threads import one_opencv_thread
from edgecam_engines import geometry

sys.path.insert(0, str(Path(__file__).parents[1]))
from faults.sources import OPENER, open_scripted


class Spent(NamedTuple):
    """Of one round."""

    cpu_ms: float  # a frame
    frames: int


def measure(reader: Reader, seconds: float, cpu_s: Callable[[], float]) -> Spent:
    """Take frames for some time."""
    for _ in range(10):
        reader.take(1.0)
    before, began, frames = cpu_s(), time.monotonic(), 0
    while time.monotonic() - began < seconds:
        shot = reader.take(1.0)
        if shot is not None:
            geometry.fit(shot.frame, (224, 224))
            frames += 1
    return Spent(1e3 * (cpu_s() - before) / frames, frames)


def of_process(pid: int) -> float:
    """Seconds that a process has computed, to the nanosecond: the kernel's own count of each thread."""
    tasks = Path(f"/proc/{pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


def in_thread(uri: str, seconds: float) -> Spent:
    reader = ThreadReader(open_scripted(uri, print))
    spent = measure(reader, seconds, time.process_time)
    reader.stop()
    return spent


def in_process(uri: str, seconds: float) -> Spent:
    reader = ProcessReader(Job(uri, opener=OPENER), print)
    reader.wait_open()
    pid = reader.pid
    assert pid is not None
    spent = measure(reader, seconds, lambda: time.process_time() + of_process(pid))
    reader.stop()
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--fps", type=float, default=60.0)
    parser.add_argument("--hw", default="720x1280")
    parser.add_argument("--copied", action="store_true", help="a source that makes frames elsewhere")
    asked = parser.parse_args()
    uri = f"scripted://?fps={asked.fps}&hw={asked.hw}{'' if asked.copied else '&into=1'}"
    pairs: list[tuple[Spent, Spent]] = []
    with one_opencv_thread():
        for _ in range(asked.rounds):
            pairs.append((in_thread(uri, asked.seconds), in_process(uri, asked.seconds)))
    assert threading.active_count() == 1
    thread, process = (np.array([pair[side].cpu_ms for pair in pairs]) for side in (0, 1))
    added = process - thread
    low, middle, high = np.percentile(added, [0, 50, 100])
    show(
        f"{asked.hw} at {asked.fps:g} frames/s, {asked.rounds} rounds of {asked.seconds:g} s",
        ("reader", "CPU ms a frame (median)", "lowest to highest", "frames"),
        [
            (
                name,
                f"{np.median(ms):.3f}",
                f"{ms.min():.3f} to {ms.max():.3f}",
                sum(p[side].frames for p in pairs),
            )
            for side, (name, ms) in enumerate((("thread", thread), ("process", process)))
        ]
        + [("added", f"{middle:.3f}", f"{low:.3f} to {high:.3f}", "")],
        {
            "benchmark": "isolation_cost",
            "added_cpu_ms": {"p50": round(middle, 3), "min": round(low, 3), "max": round(high, 3)},
        },
    )


if __name__ == "__main__":
    main()
