"""Whether a frame is worth teaching: sharp, well lit, and another one than the last."""

from typing import Final, NamedTuple

import cv2
import numpy as np

from edgecam_engines.engine import Frame

SIDE: Final = 320  # pixels of the longer side that is looked at, so that figures are alike for all cameras
SHARP: Final = 60.0  # variance of the Laplacian; defocused or moved photos of scenes have below 50
DARK: Final = 35.0  # mean grey level
BRIGHT: Final = 220.0
CLIPPED: Final = 0.3  # share of pixels that are black or white altogether
DIFFERENT: Final = 4.0  # mean difference of grey levels from the last one taken


class Quality(NamedTuple):
    """Figures of one frame, and what is wrong with it in words; nothing if it is good."""

    sharpness: float  # variance of the Laplacian
    level: float  # mean grey, 0 to 255
    clipped: float  # share of pixels at the ends of the scale
    change: float | None  # mean difference of grey from the last frame that was taken; None: it is the first
    complaints: tuple[str, ...]


def judge(frame: Frame, last: Frame | None = None) -> Quality:
    """Look at a frame (H, W, 3), and at the last one that was taken, of the same size."""
    grey = _grey(frame)
    sharpness = float(cv2.Laplacian(grey, cv2.CV_64F).var())
    level = float(grey.mean())
    clipped = float(((grey <= 2) | (grey >= 253)).mean())
    before = None if last is None else _grey(last)
    change = None
    if before is not None and before.shape == grey.shape:
        change = float(np.abs(grey.astype(np.float32) - before).mean())
    found = (
        (sharpness < SHARP, f"blurred ({sharpness:.0f}, wanted {SHARP:.0f}): hold still, or clean the lens"),
        (level < DARK, f"too dark ({level:.0f} of 255): more light"),
        (level > BRIGHT, f"too bright ({level:.0f} of 255): less light"),
        (clipped > CLIPPED and DARK <= level <= BRIGHT, f"{clipped:.0%} of it is black or white altogether"),
        (change is not None and change < DIFFERENT, "the same as the last one: turn it, move it, step back"),
    )
    return Quality(sharpness, level, clipped, change, tuple(words for bad, words in found if bad))


def _grey(frame: Frame) -> Frame:
    longer = max(frame.shape[:2])
    h, w = (max(1, round(side * min(1.0, SIDE / longer))) for side in frame.shape[:2])
    small = cv2.resize(frame, (w, h), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
