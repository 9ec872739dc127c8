"""A conveyor belt for the demo: photos pass under a camera that looks straight down."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgecam_engines.engine import Frame
from edgecam_engines.errors import OutputError
from edgecam_engines.photo import read_photo

FPS: Final = 25.0
STILL: Final = 20  # frames that a cell lies still under the camera
MOVING: Final = 8  # frames that the belt takes to bring the next one


def belt_frames(photos: Sequence[Path], side: int) -> Iterator[Frame]:
    """Frames (side, side, 3): each photo fills the view, rests, and makes way for the next."""
    before = np.full((side, side, 3), 24, dtype=np.uint8)
    for path in photos:
        cell = cv2.resize(read_photo(path), (side, side), interpolation=cv2.INTER_LINEAR)
        pair = np.hstack([before, cell])
        for step in range(1, MOVING + 1):
            # Starts and ends gently, as a belt does.
            left = round(side * (1 - np.cos(np.pi * step / MOVING)) / 2)
            yield np.ascontiguousarray(pair[:, left : left + side])
        for _ in range(STILL):
            yield cell.astype(np.uint8)
        before = cell.astype(np.uint8)


def write_belt(photos: Sequence[Path], path: Path, side: int) -> None:
    """The belt as a video file."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (side, side))
    if not writer.isOpened():
        raise OutputError(f"{path} cannot be written as a video. Is there space, and may you write there?")
    try:
        for frame in belt_frames(photos, side):
            writer.write(frame)
    finally:
        writer.release()
