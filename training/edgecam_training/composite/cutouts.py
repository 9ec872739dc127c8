"""Cut-outs: pictures of one thing whose alpha says where it ends."""

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_engines.photo import MAX_PIXELS, BadPhoto
from edgecam_training.composite.terms import Rgba

SOLID: Final = 128  # alpha from which a pixel belongs to the thing
MIN_SIDE: Final = 40  # pixels of the longer side; see place.MAGNIFY
_SPECK: Final = 0.005  # of the largest piece: smaller pieces are dirt, and would stretch the box


@dataclass(frozen=True, eq=False)
class Cutout:
    """One thing, cropped to what is there of it."""

    name: str  # for lists: "animals/birds/crow"
    bgra: Rgba
    hull: NDArray[np.float32]  # (k, 2) x, y of its convex hull, in pixels from the top left corner


def read_cutout(path: Path, name: str, longest: int) -> Cutout:
    """Decode a cut-out, its longer side at most `longest` pixels.

    Raises BadPhoto: unreadable, no alpha, nothing cut away, or too little left.
    """
    rgba = _decoded(path)
    alpha = _without_specks(rgba[:, :, 3])
    if not (alpha >= SOLID).any():
        raise BadPhoto(path, "nothing in it is opaque")
    if (alpha >= SOLID).all():
        raise BadPhoto(path, "it is opaque everywhere: its background has not been cut away")
    premultiplied = np.empty(rgba.shape, np.float32)
    premultiplied[:, :, :3] = rgba[:, :, 2::-1] * (alpha[:, :, None] / np.float32(255))
    premultiplied[:, :, 3] = alpha
    left, top, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
    if max(width, height) < MIN_SIDE:
        raise BadPhoto(path, f"what is cut out has only {width} x {height} pixels; {MIN_SIDE} are needed")
    cutout = cutout_of(name, premultiplied[top : top + height, left : left + width], longest)
    if not len(cutout.hull):
        raise BadPhoto(path, f"it is so thin that nothing is left of it at {longest} pixels")
    return cutout


def cutout_of(name: str, premultiplied: NDArray[np.float32], longest: int) -> Cutout:
    """From (h, w, 4) BGRA 0..255, colours multiplied by alpha."""
    h, w = premultiplied.shape[:2]
    if max(h, w) > longest:
        side = (max(1, round(w * longest / max(h, w))), max(1, round(h * longest / max(h, w))))
        premultiplied = cv2.resize(premultiplied, side, interpolation=cv2.INTER_AREA).astype(np.float32)
    bgra = np.rint(premultiplied).astype(np.uint8)
    ys, xs = np.nonzero(bgra[:, :, 3] >= SOLID)
    corners = np.stack([xs + 0.5, ys + 0.5], axis=1).astype(np.float32)
    hull = cv2.convexHull(corners).reshape(-1, 2) if len(corners) else corners
    return Cutout(name, bgra, hull.astype(np.float32))


def _decoded(path: Path) -> NDArray[np.uint8]:
    """(h, w, 4) RGBA as stored. Raises BadPhoto."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(path)
        with opened as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadPhoto(path, f"{image.width} x {image.height} pixels is absurdly large")
            if not _has_alpha(image):
                raise BadPhoto(path, "it has no transparency (alpha), so nothing says where the thing ends")
            return np.asarray(image.convert("RGBA"))
    except UnidentifiedImageError as error:
        raise BadPhoto(path, "it is not an image, or damaged at its start") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadPhoto(path, "absurdly large (a decompression bomb?)") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise BadPhoto(path, str(error) or type(error).__name__) from error


def _has_alpha(image: Any) -> bool:
    return "A" in image.getbands() or "transparency" in image.info


def _without_specks(alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same alpha without what hangs in the air and is too small to be a part."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > 0).astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0  # the background
    return np.where(areas[labels] >= _SPECK * max(1, areas.max()), alpha, 0).astype(np.uint8)
