"""One photo taken apart: its thing, and the ground it stood on. Every reason for which it may be refused."""

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_engines.engine import Frame
from edgecam_training.recompose.fill import Fill, mean_colour
from edgecam_training.recompose.grab import Bits, grab
from edgecam_training.recompose.teacher import Teacher
from edgecam_training.recompose.trimap import Trimap, trimap

LEAST, MOST = 0.05, 0.8  # area of the thing as a share of the frame
MOST_DROP: Final = 0.3  # of the class's probability, from the photo to the thing on a plain ground
STILL_SEEN: Final = 0.5  # a ground on which the teacher still sees the class at this probability is no ground
MOST_FILLED: Final = 0.75  # of a ground: of the rest, too little would be photo
_MARGIN: Final = 1 / 40  # of the longer side, painted over around the thing: its shine and its fringe

NO_MAP: Final = "the class map points at nothing"
SMALL: Final = "the thing is too small"
LARGE: Final = "the thing is too large"
UNKNOWN: Final = "the thing alone is not recognised"
LITTLE: Final = "too little is left of its ground"
REMAINS: Final = "the thing is still seen on its ground"


class Cut(NamedTuple):
    """What came of one photo; what was not reached is None."""

    cam: NDArray[np.float32]  # (gh, gw)
    trimap: Trimap  # (h, w)
    p_photo: float  # the teacher's probability of the class
    mask: Bits | None  # (h, w) the thing
    area: float | None  # its share of the frame
    p_thing: float | None  # on a plain ground
    hole: Bits | None  # (h, w) the thing and a margin
    ground: Frame | None  # (h, w, 3) the photo with the hole painted over
    p_ground: float | None
    refused: str | None  # why its thing is not used, and so not its ground either
    ground_refused: str | None  # why its ground alone is not used


def cut(photo: Frame, label: int, teacher: Teacher, fill: Fill, rng: np.random.Generator) -> Cut:
    """Take a photo of class `label` apart, as far as it goes."""
    look = teacher.look(photo, label)
    known = trimap(look.cam, photo.shape[:2])
    start = Cut(look.cam, known, look.probability, *[None] * 8)
    if not (known == cv2.GC_FGD).any():
        return start._replace(refused=NO_MAP)
    mask = grab(photo, known)
    area = float(mask.mean())
    found = start._replace(mask=mask, area=area)
    if not LEAST <= area <= MOST:
        return found._replace(refused=SMALL if area < LEAST else LARGE)
    p_thing = teacher.probability(on_plain(photo, mask), label)
    found = found._replace(p_thing=p_thing)
    if look.probability - p_thing > MOST_DROP:
        return found._replace(refused=UNKNOWN)
    hole = widened(mask)
    found = found._replace(hole=hole)
    if hole.mean() > MOST_FILLED:
        return found._replace(ground_refused=LITTLE)
    ground = fill.fill(photo, hole, rng)
    p_ground = teacher.probability(ground, label)
    remains = REMAINS if p_ground >= STILL_SEEN else None
    return found._replace(ground=ground, p_ground=p_ground, ground_refused=remains)


def on_plain(photo: Frame, mask: Bits) -> Frame:
    """The thing on the mean colour of what was around it."""
    return np.where(mask[:, :, None], photo, mean_colour(photo, ~mask))


def widened(mask: Bits) -> Bits:
    """The mask with a margin."""
    side = 2 * max(1, round(max(mask.shape) * _MARGIN)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.dilate(mask.astype(np.uint8), disc) > 0
