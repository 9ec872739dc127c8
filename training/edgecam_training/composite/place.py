"""Where a cut-out goes and how it gets there: size, turn, mirror, shift, and one layer out."""

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_training.composite.cutouts import Cutout
from edgecam_training.composite.terms import Levels

# How far a cut-out may be magnified for a picture of 224 pixels: beyond it, one sees its pixels. One of
# cutouts.MIN_SIDE pixels then still fills LEAST of the frame, turned by half a right angle if it is thin.
MAGNIFY: Final = 3.0 / 224
LEAST, MOST = 0.12, 0.58  # area of an object's box as a share of the frame; occlusion may take some off
_EDGE: Final = 0.97  # of the frame that a box may span
_TILT: Final = 30.0  # degrees either way
_TRIES, _MORE_TRIES = 12, 200  # with that tilt, then with any


class Layer(NamedTuple):
    """Something that covers a part of the picture."""

    colour: Levels  # (h, w, 3) BGR 0..255, multiplied by alpha
    alpha: Levels  # (h, w) 0..1


class Pose(NamedTuple):
    """How a cut-out lies in the frame."""

    turn: float  # radians
    mirrored: bool
    scale: float  # pixels of the picture for one of the cut-out
    left: float  # of the hull's box, in pixels of the picture
    top: float


def object_pose(cutout: Cutout, size: int, rng: np.random.Generator) -> Pose:
    """Anywhere in the frame, wholly inside, its box LEAST to MOST of the area (uniform in area).

    Upright, more or less; only what is so thin that its box would be too small is turned further.
    """
    for tries in range(_TRIES + _MORE_TRIES):
        tilt = _TILT if tries < _TRIES else 180.0
        turn, mirrored = np.deg2rad(rng.uniform(-tilt, tilt)), bool(rng.random() < 0.5)
        w, h = np.maximum(1e-3, np.ptp(_turned(cutout.hull, turn, mirrored), axis=0))
        wanted = np.sqrt(rng.uniform(LEAST, MOST) * size * size / (w * h))
        scale = float(min(wanted, _EDGE * size / max(w, h), MAGNIFY * size))
        if w * h * scale * scale >= LEAST * size * size:
            break
    left, top = (float(rng.uniform(0.5, size - 0.5 - side * scale)) for side in (w, h))
    return Pose(float(turn), mirrored, scale, left, top)


def small_pose(
    cutout: Cutout, size: int, middle: tuple[float, float], share: float, rng: np.random.Generator
) -> Pose:
    """Its middle at x, y (pixels), its longer side `share` of the frame; it may stick out of the frame."""
    turn, mirrored = np.deg2rad(rng.uniform(-_TILT, _TILT)), bool(rng.random() < 0.5)
    w, h = np.ptp(_turned(cutout.hull, turn, mirrored), axis=0)
    scale = float(min(share * size / max(w, h), MAGNIFY * size))
    return Pose(float(turn), mirrored, scale, middle[0] - w * scale / 2, middle[1] - h * scale / 2)


def lay(cutout: Cutout, pose: Pose, size: int) -> Layer:
    """Draw it into an otherwise empty frame of `size` on both sides."""
    return lay_in(cutout, pose, (size, size))


def lay_in(cutout: Cutout, pose: Pose, hw: tuple[int, int]) -> Layer:
    """Draw it into an otherwise empty frame (h, w).

    Shrinking averages over area, magnifying is cubic, and only turning interpolates between pixels: a
    single warp would skip pixels of large cut-outs.
    """
    h, w = cutout.bgra.shape[:2]
    width, height = max(1, round(w * pose.scale)), max(1, round(h * pose.scale))
    how = cv2.INTER_AREA if pose.scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(cutout.bgra, (width, height), interpolation=how)
    matrix = _matrix(pose.turn, pose.mirrored)
    factor = np.array([width / w, height / h], np.float32)
    turned = cutout.hull * factor @ matrix.T
    shift = np.array([pose.left, pose.top]) - turned.min(axis=0)
    # Pixel centres are at whole numbers for OpenCV and at halves for hulls.
    shift = shift + matrix @ np.array([0.5, 0.5]) - 0.5
    drawn = cv2.warpAffine(scaled, np.hstack([matrix, shift[:, None]]), hw[::-1], flags=cv2.INTER_LINEAR)
    alpha = drawn[:, :, 3].astype(np.float32) / np.float32(255)
    # Cubic interpolation overshoots: no colour may be brighter than its alpha allows.
    colour = np.minimum(drawn[:, :, :3].astype(np.float32), 255 * alpha[:, :, None])
    return Layer(colour, alpha)


def _matrix(turn: float, mirrored: bool) -> NDArray[np.float64]:
    """(2, 2), for columns x, y: mirror first, then turn."""
    cos, sin = np.cos(turn), np.sin(turn)
    return np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])


def _turned(hull: NDArray[np.float32], turn: float, mirrored: bool) -> NDArray[np.float64]:
    return np.asarray(hull @ _matrix(turn, mirrored).T, np.float64)
