"""Reading photos from disk, with every way in which a file can be bad named."""

import io
import struct
import warnings
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from edgecam_engines.engine import Frame
from edgecam_engines.errors import DataError

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
MAX_PIXELS: Final = 89_000_000  # above any camera's photo; a decompression bomb has more
MAX_SIDE: Final = 1280  # what a camera delivers; larger photos are reduced to it, by area


class BadPhoto(DataError):
    """One file that cannot be used; `reason` is short enough for a table."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be used: {reason}.\nReplace the file or take it out of the folder.")
        self.path = path
        self.reason = reason


def is_photo(path: Path) -> bool:
    """Whether the name looks like a photo's."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_photo(path: Path) -> Frame:
    """Decode a photo upright, as BGR uint8 (H, W, 3), its longer side at most MAX_SIDE pixels.

    Raises BadPhoto: empty, truncated, not an image, or more than MAX_PIXELS in its header (checked
    before anything is decoded).
    """
    try:
        empty = path.stat().st_size == 0
    except OSError as error:
        raise BadPhoto(path, str(error) or type(error).__name__) from error
    if empty:
        raise BadPhoto(path, "the file has 0 bytes")
    return _decoded(path, path)


def photo_from_bytes(content: bytes, path: Path) -> Frame:
    """The same for a file's content; `path` is what errors call it."""
    if not content:
        raise BadPhoto(path, "the file has 0 bytes")
    return _decoded(io.BytesIO(content), path)


def _decoded(source: Path | io.BytesIO, path: Path) -> Frame:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(source)
        with opened as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise BadPhoto(path, f"{width} x {height} pixels is absurdly large (a decompression bomb?)")
            image.draft("RGB", (MAX_SIDE, MAX_SIDE))  # lets libjpeg decode a large photo at a fraction
            upright = ImageOps.exif_transpose(image)
            rgb = np.asarray(_plain(upright).convert("RGB"))
    except UnidentifiedImageError as error:
        raise BadPhoto(path, "it is not an image, or damaged at its start") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadPhoto(path, "absurdly large (a decompression bomb?)") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise BadPhoto(path, str(error) or type(error).__name__) from error
    return _reduced(np.ascontiguousarray(rgb[:, :, ::-1]))


def _plain(image: Any) -> Any:
    """What Pillow cannot turn into RGB well: 16-bit grey, whose values it cuts off at 255, brought to
    eight bits; and a palette with transparency, of which it complains on stderr, with its colours."""
    from PIL import Image

    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")
    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _reduced(frame: Frame) -> Frame:
    longer = max(frame.shape[:2])
    if longer <= MAX_SIDE:
        return frame
    h, w = (max(1, round(side * MAX_SIDE / longer)) for side in frame.shape[:2])
    return cv2.resize(frame, (w, h), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
