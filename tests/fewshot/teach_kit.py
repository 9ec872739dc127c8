"""What the tests of teaching share: clouds of features, and photos whose colours are their classes."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_engines.engine import Frame

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

COLOURS = {
    "orange": (0, 140, 255),
    "violet": (200, 30, 140),
    "teal": (140, 140, 0),
    "lime": (40, 230, 170),
}  # BGR


def clouds(
    seed: int, counts: tuple[int, ...] = (6, 5, 7), d: int = 9, apart: float = 2.0
) -> tuple[Floats, Labels, int]:
    """Pooled features (n, d) around one centre a class, off zero, as features are; labels (n,); classes."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    centres = apart * rng.normal(size=(len(counts), d))
    return 3 + centres[labels] + rng.normal(size=(len(labels), d)), labels, len(counts)


def photo(name: str, seed: int, hw: tuple[int, int] = (64, 64)) -> Frame:
    """A thing of this colour somewhere on a grey ground of some brightness."""
    rng = np.random.default_rng(seed)
    h, w = hw
    frame = np.full((h, w, 3), rng.integers(30, 90), np.uint8)
    top, left = rng.integers(0, h // 2), rng.integers(0, w // 2)
    shade = rng.uniform(0.7, 1.0)
    frame[top : top + h // 2, left : left + w // 2] = (np.array(COLOURS[name]) * shade).astype(np.uint8)
    return np.asarray(np.clip(frame + rng.normal(0, 3, frame.shape), 0, 255), np.uint8)


def photo_folder(folder: Path, names: tuple[str, ...] = tuple(COLOURS), each: int = 6) -> Path:
    """FOLDER/CLASS/*.png"""
    for k, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            assert cv2.imwrite(str(folder / name / f"{number}.png"), photo(name, 100 * k + number))
    return folder
