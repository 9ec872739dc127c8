"""Training-time changes to one photo, in OpenCV on uint8, all drawn from the generator passed in."""

import math

import cv2
import numpy as np

from edgecam_engines.engine import Frame


def augment(
    photo: Frame,
    hw: tuple[int, int],
    rng: np.random.Generator,
    *,
    min_crop: float,
    flip_vertical: bool = False,
    recolour: float = 1.0,
) -> Frame:
    """Random crop stretched to hw, mirrored half of the time, light changes of colour."""
    cropped = random_crop(photo, rng, min_area=min_crop)
    resized = cv2.resize(cropped, hw[::-1], interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        resized = cv2.flip(resized, 1)
    if flip_vertical and rng.random() < 0.5:
        resized = cv2.flip(resized, 0)
    return change_colours(resized, rng, strength=recolour)


def random_crop(photo: Frame, rng: np.random.Generator, *, min_area: float) -> Frame:
    """A view of a box with `min_area` to all of the area and sides in a ratio of 3:4 to 4:3."""
    h, w, _ = photo.shape
    share = rng.uniform(min_area, 1)
    ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
    box_h = min(h, max(1, round(h * math.sqrt(share / ratio))))
    box_w = min(w, max(1, round(w * math.sqrt(share * ratio))))
    top, left = int(rng.integers(h - box_h + 1)), int(rng.integers(w - box_w + 1))
    return photo[top : top + box_h, left : left + box_w]


def change_colours(photo: Frame, rng: np.random.Generator, *, strength: float) -> Frame:
    """Brightness, contrast and white balance, one table look-up per channel; strength 0 changes nothing."""
    contrast = 1 + strength * rng.uniform(-0.25, 0.25)
    shift = strength * rng.uniform(-25, 25)
    balance = 1 + strength * rng.uniform(-0.07, 0.07, size=3)
    levels = np.arange(256, dtype=np.float32)[:, None]
    table = ((levels - 128) * contrast + 128 + shift) * balance
    return cv2.LUT(photo, np.clip(np.rint(table), 0, 255).astype(np.uint8)[None])
