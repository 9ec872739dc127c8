"""Photos that the fixed engine's colour head can name and point at: coloured discs on grey, noisy ground."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.loop_kit import CLASSES, colour_head
from edgecam_engines.engine import Frame, Frames
from edgecam_engines.fixed import FixedEngine
from edgecam_engines.head import Head
from edgecam_training.recompose.fill import Blur
from edgecam_training.recompose.order import Order, Tools
from edgecam_training.recompose.teacher import Teacher

HW: Final = (96, 128)  # sides that differ
BLUE, GREEN, RED = range(3)
COLOURS: Final = ((230, 40, 40), (40, 230, 40), (40, 40, 230))  # BGR


def ground(number: int, hw: tuple[int, int] = HW) -> Frame:
    """Grey stripes and noise, so that a ground has texture and no class."""
    rng = np.random.default_rng([11, number])
    stripes = 90 + 30 * ((np.arange(hw[1]) // 8) % 2)[None, :] + rng.normal(0, 4, hw)
    return np.repeat(np.clip(stripes, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def disc(
    hw: tuple[int, int] = HW, radius: int = 26, middle: tuple[int, int] | None = None
) -> NDArray[np.bool_]:
    """(h, w) True in a circle around x, y; in the middle unless told."""
    x, y = middle or (hw[1] // 2, hw[0] // 2)
    ys, xs = np.mgrid[: hw[0], : hw[1]]
    return np.asarray((xs - x) ** 2 + (ys - y) ** 2 <= radius**2)


def photo(label: int, number: int = 0, mask: NDArray[np.bool_] | None = None) -> Frame:
    """A thing of the class's colour where the mask is True."""
    where = disc() if mask is None else mask
    rng = np.random.default_rng([12, label, number])
    frame = ground(number, where.shape).astype(float)
    frame[where] = np.array(COLOURS[label]) + rng.normal(0, 4, (np.count_nonzero(where), 3))
    return np.clip(frame, 0, 255).astype(np.uint8)


def teacher(engine: FixedEngine | None = None, head: Head | None = None) -> Teacher:
    """Names the strongest colour; its maps are the colours' own."""
    return Teacher(engine or FixedEngine((64, 64), 8), head or colour_head())


def tools(**changes: object) -> Tools:
    return Tools(**{"teacher": teacher(), "fill": Blur(), **changes})  # type: ignore[arg-type]


def order(per_class: int = 3, **changes: object) -> Order:
    return Order(**{"per_class": per_class, "size": 128, **changes})  # type: ignore[arg-type]


class Distracted(FixedEngine):
    """Sees nothing at all on a ground without texture: the corner of the frame must be rough."""

    def infer(self, frames: Frames, /) -> NDArray[np.float32]:
        rough = frames[:, :8, :8].astype(np.float32).std(axis=(1, 2, 3)) > 1
        return super().infer(frames) * rough[:, None, None, None]


def save(path: Path, frame: Frame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), frame)
    return path


def make_data(root: Path, count: int = 4, *, val: int = 1) -> Path:
    """root/train/CLASS/NUMBER.png and root/val, each of another size, place and ground."""
    for label, name in enumerate(CLASSES):
        for number in range(count + val):
            middle = (50 + 7 * (number % 5), 44 + 3 * (number % 4))
            mask = disc(radius=20 + 2 * (number % 4), middle=middle)
            part = "train" if number < count else "val"
            save(root / part / name / f"{number}.png", photo(label, 10 * label + number, mask))
    return root


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
