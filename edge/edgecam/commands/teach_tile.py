"""A photo that was taught, small, with the map of its class over it."""

from typing import Final

import cv2
import numpy as np

from edgecam import overlay
from edgecam_engines.cam import normalise
from edgecam_engines.engine import Frame
from edgecam_engines.geometry import map_to
from edgecam_engines.head import Head
from edgecam_training.fewshot.example import Example

SIDE: Final = 112  # pixels


def tile_of(example: Example, head: Head | None) -> Frame | None:
    """(SIDE, SIDE, 3) BGR; None where the photo was not kept. No map where the head lacks the class."""
    photo = example.frame()
    if photo is None:
        return None
    small = cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    frame: Frame = np.ascontiguousarray(small, np.uint8)
    if head is not None and example.label in head.classes:
        cells = example.cells[None].astype(np.float32)
        heat = normalise(map_to(head.cam(cells, [head.classes.index(example.label)])[0], (SIDE, SIDE)))
        overlay.blend_heat(frame, (heat * 255).astype(np.uint8))
    return frame
