"""From frames to bytes that a browser shows."""

from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam import overlay
from edgecam.decisions.event import Best
from edgecam.result import Result
from edgecam_engines.engine import Frame
from edgecam_engines.geometry import scale_box

Variant = Literal["none", "cam"]
QUALITY: Final = 80
THUMBNAIL: Final = 240  # pixels of the longer side
HEAT: Final = 48  # cells of the longer side of a map that is sent along
_AMBER: Final = (40, 200, 255)


def encode(frame: Frame, result: Result, variant: Variant, fps: float) -> bytes:
    """A JPEG of the frame, with the overlay on a copy of it where that is asked for. Raises ValueError."""
    if variant == "cam":
        frame = frame.copy()
        overlay.draw(frame, result, fps)
    return _jpeg(frame)


def thumbnail(best: Best) -> bytes:
    """An event's best frame, small, with its heat and box. Raises ValueError."""
    height, width = best.frame.shape[:2]
    scale = THUMBNAIL / max(height, width)
    hw = max(1, round(height * scale)), max(1, round(width * scale))
    small = np.asarray(cv2.resize(best.frame, hw[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if best.heat is not None:
        overlay.blend_heat(small, best.heat)
    if best.box is not None:
        box = scale_box(best.box, (height, width), hw)
        cv2.rectangle(small, (box.left, box.top), (box.right - 1, box.bottom - 1), _AMBER, 2)
    return _jpeg(small)


def small_heat(heat: NDArray[np.uint8] | None) -> tuple[int, int, bytes]:
    """Rows, columns and cells (0 to 255, row by row) of a map, shrunk to what a browser can enlarge again."""
    if heat is None:
        return 0, 0, b""
    height, width = heat.shape
    scale = min(1.0, HEAT / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    cells = cv2.resize(heat, size, interpolation=cv2.INTER_AREA)
    return size[1], size[0], cells.tobytes()


def _jpeg(frame: Frame) -> bytes:
    done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"no JPEG can be made of a frame of shape {frame.shape}")
    return data.tobytes()
