"""Frames of any size in a video of one size."""

import cv2
import numpy as np

from edgecam_engines.engine import Frame


def fitted(frame: Frame, size: tuple[int, int]) -> Frame:
    """A frame inside (width, height), in proportion, with black bars where it does not fill it."""
    width, height = size
    if frame.shape[:2] == (height, width):
        return frame
    if frame.shape[0] - height in (0, 1) and frame.shape[1] - width in (0, 1):
        return np.ascontiguousarray(frame[:height, :width])  # an odd side loses one line
    scale = min(width / frame.shape[1], height / frame.shape[0])
    w, h = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
    canvas = np.zeros((height, width, 3), np.uint8)
    left, top = (width - w) // 2, (height - h) // 2
    canvas[top : top + h, left : left + w] = cv2.resize(frame, (w, h), interpolation=cv2.INTER_LINEAR)
    return canvas
