"""Draws a result on its frame, in place: heat, box, label, frame rate and age. uint8 throughout.

Only the region above the mask level is blended, so the rest of the frame costs nothing.
"""

from functools import lru_cache
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam.result import UNKNOWN, Result
from edgecam_engines.cam import MASK_LEVEL
from edgecam_engines.engine import Frame
from edgecam_engines.geometry import Box, scale_box

STRIP_ROWS: Final = 128
_LOWEST: Final = int(MASK_LEVEL * 255)  # heat above this is in the mask
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_WHITE: Final = (255, 255, 255)
_INK: Final = (24, 24, 24)
_ACCENT: Final = (40, 200, 255)  # BGR: amber, seen on dark and on light things alike

Bytes = NDArray[np.uint8]


class Text(NamedTuple):
    """How large words are on a frame of some height."""

    scale: float
    weight: int
    pad: int  # pixels around the words


def draw(frame: Frame, result: Result, fps: float) -> None:
    """Draw everything that is known about a frame on it. `fps` is results per second."""
    style = _style(min(frame.shape[:2]))
    status = f"{fps:.0f} frames/s  age {result.age_ms:.0f} ms"
    if result.skipped:
        status += f"  {result.skipped} skipped"
    draw_answer(frame, result, below=_extent(status, *style)[1])
    _tag(frame, status, (0, 0), style, _INK, _WHITE)


def draw_answer(frame: Frame, result: Result, *, below: int = 0) -> None:
    """Heat, box and label alone. The label stays clear of the first `below` rows."""
    if result.heat is not None:
        blend_heat(frame, result.heat)
    style = _style(min(frame.shape[:2]))
    words = UNKNOWN if result.label == UNKNOWN else f"{result.label} {result.confidence * 100:.0f} %"
    if result.box is None:
        colours = (_INK, _ACCENT) if result.label == UNKNOWN else (_ACCENT, _INK)
        _tag(frame, words, (0, below), style, *colours)
    else:
        _box(frame, result.box, words, style, below)


def blend_heat(frame: Frame, heat: Bytes) -> None:
    """Blend the heat (h, w) into the frame (H, W, 3) where it is above the mask level, in place.

    Half the picture and half a colour, which runs from yellow at the mask level to red at the peak:
    in BGR that is (0, 2 * (255 - heat), 255), so its half needs no table, and one map is enlarged, not three.
    """
    left, top, width, height = cv2.boundingRect(_mask(heat))
    if not width:
        return
    box = Box(left, top, left + width, top + height)
    at = scale_box(box, (heat.shape[0], heat.shape[1]), (frame.shape[0], frame.shape[1]))
    part = frame[at.top : at.bottom, at.left : at.right]
    size = (at.right - at.left, at.bottom - at.top)
    warm = cv2.resize(heat[box.top : box.bottom, box.left : box.right], size, interpolation=cv2.INTER_LINEAR)
    # In strips, so that what lies between stays in the processor's cache.
    for row in range(0, size[1], STRIP_ROWS):
        _blend_strip(part[row : row + STRIP_ROWS], warm[row : row + STRIP_ROWS])


def _blend_strip(part: Bytes, warm: cv2.typing.MatLike) -> None:
    colour = cv2.merge([np.zeros_like(warm), cv2.bitwise_not(warm), np.full_like(warm, 127)])
    # The shift costs a third of cv2.addWeighted, and the sum of two halves cannot overflow.
    mixed = cv2.add(np.right_shift(part, 1), colour, dst=colour)
    cv2.copyTo(mixed, _mask(warm), part)


def _mask(heat: cv2.typing.MatLike) -> cv2.typing.MatLike:
    return cv2.threshold(heat, _LOWEST, 255, cv2.THRESH_BINARY)[1]


def _style(shorter: int) -> Text:
    scale = float(np.clip(shorter / 900, 0.45, 3))
    return Text(scale, max(1, round(2 * scale)), max(3, round(10 * scale)))


def _box(frame: Frame, box: Box, words: str, style: Text, below: int) -> None:
    thick = max(2, round(4 * style.scale))
    half = thick // 2
    corners = (box.left + half, box.top + half), (box.right - 1 - half, box.bottom - 1 - half)
    cv2.rectangle(frame, *corners, _ACCENT, thick)
    height = _extent(words, *style)[1]
    above = box.top - height
    # Inside the box when there is no room above it; never over the status line.
    _tag(frame, words, (box.left, max(above if above >= below else box.top, below)), style, _ACCENT, _INK)


def _tag(
    frame: Frame,
    words: str,
    corner: tuple[int, int],
    style: Text,
    back: tuple[int, int, int],
    front: tuple[int, int, int],
) -> None:
    """Words on a filled rectangle, moved and shrunk so that all of it is seen."""
    height, width = frame.shape[:2]
    scale = style.scale
    w, h = _extent(words, scale, style.weight, style.pad)
    if w > width:
        scale *= (width - 2 * style.pad) / max(1, w - 2 * style.pad)
        w, h = _extent(words, scale, style.weight, style.pad)
    x = max(0, min(corner[0], width - w))
    y = max(0, min(corner[1], height - h))
    cv2.rectangle(frame, (x, y), (x + w - 1, y + h - 1), back, cv2.FILLED)
    base = y + h - style.pad
    cv2.putText(frame, words, (x + style.pad, base), _FONT, scale, front, style.weight, cv2.LINE_AA)


@lru_cache(maxsize=512)
def _extent(words: str, scale: float, weight: int, pad: int) -> tuple[int, int]:
    """Width and height in pixels of a tag around some words."""
    (width, height), _ = cv2.getTextSize(words, _FONT, scale, weight)
    return int(width) + 2 * pad, int(height) + 2 * pad
