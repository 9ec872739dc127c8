"""Reading the picture files that hold masks, with every way in which one can be bad named."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_engines.errors import DataError
from edgecam_engines.photo import MAX_PIXELS

_ON_ITS_SIDE: Final = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
_ORIENTATION: Final = 0x0112


class BadMask(DataError):
    """One picture that cannot be used as a mask; `reason` is short enough for a table."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} cannot be used as a mask: {reason}.\nReplace the file, or leave the image out."
        )
        self.path = path
        self.reason = reason


def picture_size(path: Path) -> tuple[int, int]:
    """(w, h) as a viewer shows it, from the header alone: nothing is decoded. Raises BadMask."""
    with _opened(path) as image:
        w, h = image.size
        # Of a PNG, getexif would decode all pixels to look for what no camera writes there.
        on_its_side = image.format != "PNG" and image.getexif().get(_ORIENTATION) in _ON_ITS_SIDE
    return (h, w) if on_its_side else (w, h)


def read_levels(path: Path) -> NDArray[np.uint8]:
    """The numbers stored at the pixels, (h, w): palette indices, grey values, or the brightest colour.

    Transparency is passed over. Of 16-bit pictures, numbers above 255 become 254: they are objects, and
    no ignored pixels. Raises BadMask.
    """
    with _opened(path) as image:
        if image.mode in {"1", "L", "P"} or image.mode.startswith("I"):
            stored = np.asarray(image)
        else:
            stored = np.asarray(image.convert("RGB")).max(axis=2)
    return np.where(stored > 255, 254, stored).astype(np.uint8)


def read_indices(path: Path) -> NDArray[np.uint8]:
    """Class or object numbers, (h, w): as `read_levels`, but a picture of colours is refused (BadMask)."""
    with _opened(path) as image:
        if image.mode not in {"L", "P"}:
            raise BadMask(path, f"its pixels are {image.mode}, not class numbers (a palette or 8-bit grey)")
        return np.asarray(image).astype(np.uint8)


def read_grey(path: Path) -> NDArray[np.uint8]:
    """(h, w) as OpenCV reads it in grey, which is how the WSOL protocol reads its masks. Raises BadMask."""
    picture_size(path)  # an absurd size is refused before anything is decoded
    grey = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise BadMask(path, "it is damaged")
    return np.asarray(grey, np.uint8)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The picture, opened but not decoded; whatever goes wrong inside leaves as BadMask."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(path)
        with opened as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadMask(path, f"{image.width} x {image.height} pixels is absurdly large")
            yield image
    except FileNotFoundError as error:
        raise BadMask(path, "there is no such file") from error
    except UnidentifiedImageError as error:
        raise BadMask(path, "it is not an image, or damaged at its start") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadMask(path, "absurdly large (a decompression bomb?)") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise BadMask(path, str(error) or type(error).__name__) from error
