"""Many frames through the real loop, and what it holds meanwhile: memory, descriptors, threads."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil

from edgecam import live
from edgecam.result import Result
from edgecam.settings import RunSettings
from edgecam_engines.engine import Frame
from faults.sources import OPENER
from faults.witness import Witness, beside, readers

SAMPLES = 40


class Sample(NamedTuple):
    """What loop and reader hold at one moment."""

    frames: int
    loop_kib: float  # resident
    reader_kib: float
    descriptors: int  # of both
    threads: int  # of both
    shm: int  # names in /dev/shm


class Metered(Witness):
    """Takes a sample now and then."""

    def __init__(self, frames: int) -> None:
        super().__init__(lambda witness: sum(witness.frames.values()) >= frames, keep=1000)
        self.samples: list[Sample] = []
        self._every = max(1, frames // SAMPLES)

    def write(self, frame: Frame, result: Result) -> None:
        done = sum(self.frames.values()) + 1
        if done % self._every == 0:
            self.samples.append(_sample(done))
        super().write(frame, result)


def soak(bundle: Path, frames: int, hw: str = "64x64") -> Metered:
    """Run until so many frames are answered, as fast as it goes."""
    metered = Metered(frames)
    with beside(metered):
        live.run(RunSettings(bundle, (f"scripted://?fps=1000&interval=0&hw={hw}",)), opener=OPENER)
    return metered


def growth(samples: list[Sample], of: Callable[[Sample], float]) -> float:
    """From the second tenth to the last, of the former: the first one fills caches."""
    tenth = max(1, len(samples) // 10)
    early, late = samples[tenth : 2 * tenth + 1], samples[-tenth:]
    before, after = (sum(map(of, part)) / len(part) for part in (early, late))
    return (after - before) / max(before, 1.0)  # of names in /dev/shm there may be none at all


def _sample(frames: int) -> Sample:
    loop = psutil.Process()
    (reader,) = readers()
    return Sample(
        frames,
        loop.memory_info().rss / 1024,
        reader.memory_info().rss / 1024,
        loop.num_fds() + reader.num_fds(),
        loop.num_threads() + reader.num_threads(),
        len(list(Path("/dev/shm").iterdir())),
    )
