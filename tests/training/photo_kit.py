"""Photos for the training tests: written quickly, told apart by a glance at their colour."""

from pathlib import Path

import cv2
import numpy as np

from edgecam_engines.engine import Frame

COLOURS = {"blue": (220, 40, 40), "green": (40, 220, 40), "red": (40, 40, 220)}  # BGR


def picture(colour: str, number: int, hw: tuple[int, int] = (64, 64)) -> Frame:
    """A noisy picture of one colour; the number is its seed, so no two are the same."""
    rng = np.random.default_rng([number, *COLOURS[colour]])
    noise = rng.integers(-40, 40, size=(*hw, 3))
    return np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)


def save(path: Path, frame: Frame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), frame)
    return path


def make_photos(
    root: Path, *, count: int = 12, first: int = 0, hw: tuple[int, int] = (64, 64), suffix: str = ".png"
) -> Path:
    """root/COLOUR/NUMBER.png, `count` of each colour, numbered (and seeded) from `first`."""
    for colour in COLOURS:
        for number in range(first, first + count):
            save(root / colour / f"{number:02}{suffix}", picture(colour, number, hw))
    return root
