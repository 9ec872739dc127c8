"""Cut-outs and backgrounds for the composite tests: bright shapes on grey, so a pixel tells whose it is."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_training.composite.cutouts import Cutout, read_cutout
from edgecam_training.composite.terms import Frame

COLOURS: Final = {"blue": (255, 30, 30), "green": (30, 255, 30), "red": (30, 30, 255)}  # BGR
SIZE: Final = 96


def disc(colour: tuple[int, int, int], number: int, side: int = 90) -> NDArray[np.uint8]:
    """(side, side, 4): a disc of one colour with a darker band of its own; white where nothing is."""
    canvas = np.zeros((side, side), np.uint8)
    cv2.circle(canvas, (side // 2, side // 2), side // 2 - 6, 255, -1)
    colours = np.full((side, side, 3), 255, np.uint8)
    colours[canvas > 0] = colour
    band = slice(side * (1 + number % 4) // 6, side * (2 + number % 4) // 6)
    colours[band][canvas[band] > 0] = np.array(colour) // 2 + 5 * (number // 4)
    return np.dstack([colours, canvas])


def save(path: Path, picture: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)
    return path


def cutout(path: Path, picture: NDArray[np.uint8], longest: int = 224) -> Cutout:
    """What the reader makes of a picture."""
    return read_cutout(save(path, picture), path.stem, longest)


def make_cutouts(root: Path, count: int = 4) -> Path:
    """root/COLOUR/NUMBER.png."""
    for colour, bgr in COLOURS.items():
        for number in range(count):
            save(root / colour / f"{number}.png", disc(bgr, number))
    return root


def grey(number: int, hw: tuple[int, int] = (120, 160)) -> Frame:
    """A photo without colour: a ramp of its own brightness and direction, and noise."""
    rng = np.random.default_rng([7, number])
    x, y = np.meshgrid(np.linspace(0, 1, hw[1]), np.linspace(0, 1, hw[0]))
    level = 60 + 25 * (number % 6) + 40 * (x if number % 2 else y) + rng.normal(0, 4, hw)
    return np.repeat(np.clip(level, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def make_backgrounds(root: Path, count: int = 4) -> Path:
    """root/NUMBER.png."""
    for number in range(count):
        save(root / f"{number}.png", grey(number))
    return root


def colourful(frame: Frame) -> NDArray[np.bool_]:
    """(h, w) True where a pixel has a colour, and so is the object's and not the background's."""
    spread = frame.max(axis=2).astype(int) - frame.min(axis=2)
    return np.asarray(spread > 45)
