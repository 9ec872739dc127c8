"""What recording costs: the processor's time for a 720p frame, and the loop's rate beside it.

    OMP_NUM_THREADS=1 python tests/benchmarks/recording_cost.py [--rounds 7] [--frames 90]

In each round every way of recording takes its turn after a loop that records nothing, so a busy machine slows
all alike; ratios are taken within a round. For each frame the loop blurs it, which takes about as long as a
small engine, and hands it to the sink. Time of the processor is that of all threads and of the encoder's
process, without the loop's own; `of it in the loop` is what the sink takes of the loop's thread. A rate means
something only on a machine that does nothing else.
"""

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from table import show

from edgecam.recorder import gstreamer
from edgecam.recorder.encoder import OpenCVEncoder
from edgecam.recorder.recorder import Plan
from edgecam.result import Result
from edgecam.sinks.recording import Recording
from edgecam.sinks.recording_folder import RecordingFolder
from edgecam.sinks.sink import Sink
from edgecam_engines.engine import Frame

HW = (720, 1280)
FPS = 30.0


class Turn(NamedTuple):
    """What one way of recording took, over one turn."""

    cpu_s: float  # of everything
    wall_s: float  # of the loop, without the end
    held_s: float  # of the loop's thread, inside the sink's write
    bytes: int
    lost: int


def scenes(count: int) -> list[Frame]:
    """A ground that drifts, a square that crosses it, and a sensor's noise."""
    rng = np.random.default_rng(0)
    h, w = HW
    ground = cv2.GaussianBlur(rng.integers(0, 256, (h, w + count * 2, 3), dtype=np.uint8), (0, 0), 4)
    ground = cv2.normalize(ground, None, 20, 230, cv2.NORM_MINMAX)
    frames = []
    for number in range(count):
        frame = ground[:, 2 * number : 2 * number + w].astype(np.int16)
        frame[200:400, 10 * number % w : 10 * number % w + 200] = (30, 60, 220)
        frame += rng.integers(-4, 5, (h, w, 1), dtype=np.int16)
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
    return frames


def work(frame: Frame) -> None:
    """What the loop does for a frame beside recording it."""
    for _ in range(3):
        cv2.GaussianBlur(frame, (0, 0), 2.5)


def cpu_s() -> float:
    """Of this process and of those that have ended."""
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in usage)


def take_turn(frames: list[Frame], opened: Callable[[Path], Sink] | None) -> Turn:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began_cpu, began = cpu_s(), time.perf_counter()
        sink = None if opened is None else opened(folder)
        held = 0.0
        for number, frame in enumerate(frames):
            work(frame)
            at = time.thread_time()
            if sink is not None:
                sink.write(frame, Result(number, number / FPS, 0.0, 0, "mug", 0.9, None, (), None, "cam"))
            held += time.thread_time() - at
        wall = time.perf_counter() - began
        if sink is not None:
            sink.close()
        size = sum(path.stat().st_size for path in folder.iterdir())
        return Turn(cpu_s() - began_cpu, wall, held, size, getattr(sink, "lost", 0))


def folder_by(element: str | None, *, events_only: bool = False) -> Callable[[Path], Sink]:
    plan = Plan(FPS, True, 60.0, 1 << 40, events_only)
    encoder = OpenCVEncoder if element is None else gstreamer.opener(element)
    return lambda path: RecordingFolder(path, plan, print, open_encoder=encoder)


def ways() -> dict[str, Callable[[Path], Sink]]:
    found: dict[str, Callable[[Path], Sink]] = {
        "one file, in the loop": lambda path: Recording(path / "a.mp4", fps=FPS, live=True),
        "folder, OpenCV's mp4v": folder_by(None),
        "folder, around events, none": folder_by(None, events_only=True),
    }
    if shutil.which(gstreamer.LAUNCH):
        for element in gstreamer.ENCODERS:
            if gstreamer.works(element):
                found[f"folder, {element}"] = folder_by(element)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=90, help="of each turn")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    frames = scenes(asked.frames)
    plain: dict[str, list[Turn]] = {}
    turns: dict[str, list[Turn]] = {}
    for opened in ways().values():
        take_turn(frames[:20], opened)  # warms up
    for _ in range(asked.rounds):
        for name, opened in ways().items():
            plain.setdefault(name, []).append(take_turn(frames, None))
            turns.setdefault(name, []).append(take_turn(frames, opened))
    rows, document = [], {}
    for name, taken in turns.items():
        alone = plain[name]
        each = 1000 / asked.frames
        cost = [each * (turn.cpu_s - base.cpu_s) for turn, base in zip(taken, alone, strict=True)]
        rate = [base.wall_s / turn.wall_s for turn, base in zip(taken, alone, strict=True)]
        held = [each * turn.held_s for turn in taken]
        kilobytes = taken[-1].bytes / asked.frames / 1000
        rows.append(
            (
                name,
                f"{np.median(cost):.2f} ({min(cost):.2f} to {max(cost):.2f})",
                f"{np.median(rate):.3f} ({min(rate):.3f} to {max(rate):.3f})",
                f"{np.median(held):.2f}",
                f"{kilobytes:.1f}",
                f"{sum(turn.lost for turn in taken)}",
            )
        )
        document[name] = {
            "cpu_ms_a_frame": round(float(np.median(cost)), 3),
            "rate_of_the_loop_without": round(float(np.median(rate)), 3),
            "cpu_ms_in_the_loop": round(float(np.median(held)), 3),
            "kilobytes_a_frame": round(kilobytes, 1),
        }
    show(
        f"Recording {HW[1]} x {HW[0]}, {asked.rounds} rounds of {asked.frames} frames",
        (
            "way",
            "CPU ms a frame",
            "the loop's rate, of that without",
            "of it in the loop",
            "kB a frame",
            "lost",
        ),
        rows,
        {"benchmark": "recording_cost", "ways": document},
    )


if __name__ == "__main__":
    main()
