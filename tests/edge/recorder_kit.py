"""Frames that carry their number in pixels, and reading it back from what was recorded."""

import shutil
from pathlib import Path

import numpy as np

from edge.loop_kit import frames_in
from edgecam.recorder.encoder import OpenCVEncoder
from edgecam.recorder.recorder import Plan
from edgecam.result import Result
from edgecam_engines.engine import Frame

FPS = 20.0
AT = 1_700_000_000.0
BITS, SIDE = 12, 16


def numbered(number: int, hw: tuple[int, int] = (96, 192), *, noise: bool = False) -> Frame:
    """A frame whose first rows are the number in twelve black and white squares."""
    frame = np.full((*hw, 3), 90, np.uint8)
    if noise:  # compresses badly, to fill disks
        frame[:] = np.random.default_rng(number).integers(0, 255, frame.shape, dtype=np.uint8)
    for bit in range(BITS):
        frame[:SIDE, bit * SIDE : (bit + 1) * SIDE] = 255 * (number >> bit & 1)
    return frame


def number_in(frame: Frame) -> int:
    """What `numbered` wrote, after any lossy codec."""
    middles = frame[SIDE // 2, SIDE // 2 : BITS * SIDE : SIDE, 1]
    return sum(1 << bit for bit, value in enumerate(middles) if value > 127)


def numbers_in(path: Path) -> list[int]:
    """The numbers of all frames of a video."""
    return [number_in(frame) for frame in frames_in(path)]


def segments(folder: Path) -> list[Path]:
    """Complete ones, oldest first."""
    found = [path for path in folder.glob("*_*Z_??????.mp4") if path.is_file() and not path.is_symlink()]
    return sorted(found, key=lambda path: path.stem.rsplit("_", 1)[1])


def recorded(folder: Path) -> list[int]:
    """The numbers of all frames in all complete segments, in order."""
    return [number for path in segments(folder) for number in numbers_in(path)]


def result(number: int, *, camera: str = "cam", fps: float = FPS) -> Result:
    return Result(number, AT + number / fps, 5.0, 0, "mug", 0.9, None, (), None, camera)


def plan(**changes: object) -> Plan:
    """A small one: a live camera, segments of two seconds, hardly any space to spare."""
    usual = Plan(FPS, True, segment_s=2.0, quota_bytes=100_000_000, spare_bytes=1 << 16)
    return usual._replace(**changes)  # type: ignore[arg-type]


def write_part(path: Path, frames: int) -> None:
    """A segment as the encoder leaves it; `path` ends in .ismv."""
    encoder = OpenCVEncoder(path, FPS, (96, 192))
    for number in range(frames):
        encoder.write(numbered(number))
    encoder.close()


def fill(folder: Path, leave: int = 0) -> Path:
    """A foreign file that takes what is free on the folder's disk, but for some bytes."""
    path = folder / "foreign.bin"
    path.write_bytes(bytes(max(0, shutil.disk_usage(folder).free - leave)))
    return path
