"""What every picture is called, and the generator that belongs to it."""

import hashlib
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_engines.errors import DataError
from edgecam_engines.photo import BadPhoto

Frame = NDArray[np.uint8]  # (h, w, 3) BGR
Rgba = NDArray[np.uint8]  # (h, w, 4) BGR multiplied by alpha, and alpha
Levels = NDArray[np.float32]

_NAMED: Final = 20  # bad files that a message lists


class Part(NamedTuple):
    """One of the three parts of the data set."""

    split: str  # as the WSOL protocol calls it
    folder: str  # as `edgecam train` and `edgecam eval` look for it


PARTS: Final = (Part("train-weaksup", "train"), Part("train-fullsup", "val"), Part("test", "test"))


def generator(*key: object) -> np.random.Generator:
    """The generator that belongs to a key, such as (seed, split, class, index), and to nothing else.

    So a picture does not depend on what was drawn before it, on the number of workers, or on which other
    classes there are.
    """
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def refuse(bad: list[BadPhoto], what: str) -> None:
    """Name every bad file at once: a benchmark is not made of whatever happened to be readable."""
    if not bad:
        return
    rest = f"\n    and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    listed = "".join(f"\n    {one.path}: {one.reason}" for one in bad[:_NAMED])
    raise DataError(
        f"{len(bad)} of the {what} cannot be used:{listed}{rest}\n"
        f"Replace them or take them out of the folder."
    )


def thumbnail(picture: NDArray[np.uint8]) -> Levels:
    """(h, w, 3 or 4) -> (24, 24, the same) float32 0..255, stretched; see-through parts are grey."""
    small = cv2.resize(picture, (24, 24), interpolation=cv2.INTER_AREA).astype(np.float32)
    if small.shape[2] == 4:
        small[:, :, :3] += 0.5 * (255 - small[:, :, 3:])
    return small
