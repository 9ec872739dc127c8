"""One photo that teaches: what it is of, what the engine made of it, and the photo itself, in one file.

One file an example, so that adding, relabelling or removing one is one rename: whatever dies, and whenever,
no more than the photo in hand is lost. The photo is kept as it was fitted to the input, as JPEG: a tenth of
its pixels, and enough to ask another engine about it. Pooled features are kept as float32. The features of
each cell, which the map that all classes share is fitted to, are kept as float16 and at every second row and
column: 19 kB at 192 channels and 14 x 14 cells, beside 25 kB for the photo.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_engines.engine import Features, Frame
from edgecam_engines.errors import DataError

QUALITY: Final = 95  # of the JPEG: INT8 features of it differ less than between two frames of a still scene
STEP: Final = 2  # every second cell down and across is kept


@dataclass(frozen=True)
class Example:
    """A labelled photo as an engine saw it."""

    id: str  # the SHA-256 of the pixels that the engine was given, shortened: the same photo, the same id
    label: str
    taken_at: str  # UTC, ISO 8601
    source: str  # a camera's name or a file's; never holds a password
    engine: str  # which engine the features are of, see `extract.engine_key`
    pooled: NDArray[np.float32]  # (d,)
    cells: NDArray[np.float16]  # (d, gh/2, gw/2), rounded up
    photo: NDArray[np.uint8]  # (bytes,), JPEG of the fitted frame; of no bytes where it may not be kept

    def relabelled(self, label: str) -> "Example":
        return replace(self, label=label)

    def frame(self) -> Frame | None:
        """The photo, (h, w, 3) BGR; None where it was not kept."""
        if not self.photo.size:
            return None
        frame = cv2.imdecode(self.photo, cv2.IMREAD_COLOR)
        if frame is None:
            raise ValueError("its photo cannot be decoded")
        return np.asarray(frame, np.uint8)


def make_example(
    frame: Frame, features: Features, label: str, *, source: str, engine: str, now: datetime, keep_photo: bool
) -> Example:
    """From a fitted frame (h, w, 3) and its features (1, d, gh, gw)."""
    jpeg = np.zeros(0, np.uint8)
    if keep_photo:
        jpeg = np.asarray(
            cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1], np.uint8
        ).ravel()
    return Example(
        id=digest_of(frame),
        label=check_label(label),
        taken_at=now.astimezone(timezone.utc).isoformat(timespec="milliseconds"),
        source=source,
        engine=engine,
        pooled=np.asarray(features[0].mean(axis=(1, 2), dtype=np.float32)),
        cells=features[0, :, ::STEP, ::STEP].astype(np.float16),
        photo=jpeg,
    )


def digest_of(frame: Frame) -> str:
    """What the same fitted photo always has, and no other."""
    return hashlib.sha256(np.ascontiguousarray(frame).tobytes()).hexdigest()[:32]


def check_label(label: str) -> str:
    """A class's name that can be a folder's as well. Raises DataError."""
    bad = not label or len(label.encode()) > 120 or label != label.strip() or label.startswith(".")
    if bad or any(c in "/\\\0" or not c.isprintable() for c in label):
        raise DataError(
            f"A class cannot be called {label!r}: its name is a folder's name too when photos are exported.\n"
            f"Use letters, digits and spaces, for example: --label 'red mug'"
        )
    return label


def to_bytes(example: Example) -> bytes:
    """A safetensors file: the numbers, and the words in its header."""
    from safetensors.numpy import save

    words = {name: getattr(example, name) for name in _WORDS}
    tensors = {name: np.ascontiguousarray(getattr(example, name)) for name in _DTYPES}
    return bytes(save(tensors, metadata={"example": json.dumps(words, ensure_ascii=False)}))


def from_bytes(content: bytes) -> Example:
    """What `to_bytes` wrote. Raises ValueError for anything else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(content)
        length = int.from_bytes(content[:8], "little")
        words = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["example"])
        parts: dict[str, Any] = {**_checked(words), **{name: tensors[name] for name in _DTYPES}}
        found = Example(**parts)
    except (SafetensorError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"it is no example: {error}") from error
    for name, dtype in _DTYPES.items():
        if getattr(found, name).dtype != dtype:
            raise ValueError(f"its {name} are {getattr(found, name).dtype}")
    if found.pooled.ndim != 1 or found.cells.shape[:1] != found.pooled.shape or found.cells.ndim != 3:
        raise ValueError(f"its features are {found.pooled.shape} and {found.cells.shape}")
    if not (np.isfinite(found.pooled).all() and np.isfinite(found.cells).all()):
        raise ValueError("its features are not finite")
    return found


def _checked(words: dict[str, Any]) -> dict[str, str]:
    if set(words) != set(_WORDS) or not all(isinstance(value, str) for value in words.values()):
        raise ValueError("its words are not those of an example")
    return words


_WORDS: Final = ("id", "label", "taken_at", "source", "engine")
_DTYPES: Final[dict[str, type[np.generic]]] = {"pooled": np.float32, "cells": np.float16, "photo": np.uint8}
