"""A contact sheet: how a few new photos came about, from left to right, to be looked at."""

from typing import Final

import cv2
import numpy as np

from edgecam_engines.engine import Frame
from edgecam_training.composite.paste import Box
from edgecam_training.recompose.cut import Cut
from edgecam_training.recompose.grab import Bits
from edgecam_training.recompose.trimap import relative

_TILE: Final = 168
_STRIP: Final = 18  # pixels under a tile for words
_GAP: Final = 2
_SHADES: Final = np.array([0, 255, 90, 170], np.uint8)  # of GC_BGD, GC_FGD, GC_PR_BGD, GC_PR_FGD
_BOX, _OUTLINE = (60, 220, 60), (40, 220, 255)  # BGR


def strip(photo: Frame, cut: Cut) -> Frame:
    """Source, class map over it, trimap (black surely outside, white surely inside), thing, ground."""
    level = np.rint(255 * relative(cut.cam, photo.shape[:2])).astype(np.uint8)
    heat = cv2.addWeighted(photo, 0.5, cv2.applyColorMap(level, cv2.COLORMAP_TURBO), 0.5, 0)
    grey = cv2.cvtColor(_SHADES[cut.trimap], cv2.COLOR_GRAY2BGR)
    thing = np.full_like(photo, 255) if cut.mask is None else np.where(cut.mask[:, :, None], photo, 255)
    ground = np.full_like(photo, 255) if cut.ground is None else cut.ground
    of_class = f"p {cut.p_photo:.2f}"
    alone = "" if cut.p_thing is None else f"thing p {cut.p_thing:.2f}"
    behind = (cut.ground_refused or f"ground p {cut.p_ground:.2f}") if cut.refused is None else ""
    tiles = ((photo, f"source {of_class}"), (heat, "class map"), (grey, "trimap"), (thing, alone))
    return np.hstack(
        [tile(np.asarray(frame, np.uint8), words) for frame, words in (*tiles, (ground, behind))]
    )


def result(frame: Frame, mask: Bits, box: Box, words: str) -> Frame:
    """Two tiles: the new photo as it is, and with outline and box."""
    drawn = frame.copy()
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, outlines, -1, _OUTLINE, 1)
    cv2.rectangle(drawn, box[:2], box[2:], _BOX, 1)
    return np.hstack([tile(frame, words), tile(drawn, "mask and box")])


def tile(frame: Frame, words: str) -> Frame:
    """A frame of any shape in a square, with words under it."""
    h, w = frame.shape[:2]
    scale = _TILE / max(h, w)
    side = max(1, round(w * scale)), max(1, round(h * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    made = np.full((_TILE + _STRIP, _TILE + 2 * _GAP, 3), 255, np.uint8)
    made[: side[1], _GAP : _GAP + side[0]] = cv2.resize(frame, side, interpolation=how)
    cv2.putText(made, words, (3, _TILE + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    return made
