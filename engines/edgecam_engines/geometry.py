"""How a frame is fitted to the input, and how a map or box comes back. The only place that knows.

The whole frame is stretched to the input with linear interpolation: nothing is cut off, no bars are
added, and the way back is one scale per axis. Training, evaluation and camera all call `fit`.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_engines.engine import Frame, Frames

# Written to every manifest; a bundle with another geometry is refused rather than misread.
GEOMETRY: Final = {"fit": "stretch", "interpolation": "linear"}


class Box(NamedTuple):
    """Pixels, half-open: columns left..right-1 and rows top..bottom-1."""

    left: int
    top: int
    right: int
    bottom: int


def fit(frame: Frame, input_hw: tuple[int, int]) -> Frame:
    """A frame of any size, (H, W, 3) -> (h, w, 3). INTER_AREA would cost 25 times as much on 720p."""
    h, w = input_hw
    if frame.shape[:2] == (h, w):
        return frame
    return cv2.resize(frame, (w, h), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def fit_batch(frames: list[Frame], input_hw: tuple[int, int]) -> Frames:
    """Frames of any sizes -> (n, h, w, 3)."""
    return np.stack([fit(frame, input_hw) for frame in frames])


def map_to(cam: NDArray[np.float32], hw: tuple[int, int]) -> NDArray[np.float32]:
    """A map (gh, gw), resampled to (h, w). Cell centres stay where they are in the picture."""
    h, w = hw
    return cv2.resize(cam, (w, h), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def scale_box(box: Box, from_hw: tuple[int, int], to_hw: tuple[int, int]) -> Box:
    """The same box in a picture of another size, rounded outward and kept inside."""
    sy, sx = to_hw[0] / from_hw[0], to_hw[1] / from_hw[1]
    return Box(
        int(box.left * sx),
        int(box.top * sy),
        min(int(np.ceil(box.right * sx)), to_hw[1]),
        min(int(np.ceil(box.bottom * sy)), to_hw[0]),
    )
