"""The ways in which formats draw one object: a picture, polygons, run lengths. Drawn when asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.truth.pictures import read_grey

Bits = NDArray[np.bool_]  # (h, w) True on the object


class Shape(Protocol):
    """One object, or one region to ignore."""

    def bits(self) -> Bits:
        """(h, w) at the size it was drawn in. Raises BadMask for a picture that cannot be read."""
        ...


@dataclass(frozen=True)
class GreyFile:
    """A picture of its own: whatever is not black, as the WSOL protocol reads it (grey > 0.5)."""

    path: Path

    def bits(self) -> Bits:
        return read_grey(self.path) > 0


@dataclass(frozen=True)
class Polygons:
    """One object of one or more outlines, x0, y0, x1, y1, ... in pixel edges: the image is 0..w by 0..h."""

    outlines: tuple[tuple[float, ...], ...]
    size: tuple[int, int]  # (w, h)

    def bits(self) -> Bits:
        w, h = self.size
        drawn = np.zeros((h, w), dtype=bool)
        for outline in self.outlines:
            drawn |= fill(np.asarray(outline, np.float64).reshape(-1, 2), (h, w))
        return drawn


@dataclass(frozen=True)
class RunLengths:
    """COCO's run-length code: background and object by turns, down the columns from the top left."""

    counts: tuple[int, ...]
    size: tuple[int, int]  # (w, h); its product is the sum of the counts

    def bits(self) -> Bits:
        w, h = self.size
        turns = np.arange(len(self.counts)) % 2 == 1
        return np.asarray(np.repeat(turns, self.counts).reshape(w, h).T, np.bool_)


def fill(corners: NDArray[np.float64], hw: tuple[int, int]) -> Bits:
    """A polygon (k, 2) of x, y in pixel edges -> (h, w): the pixels whose centre is inside (even-odd).

    The square from 10 to 20 covers the pixels 10..19, 100 of them, as COCO's own code draws it.
    `cv2.fillPoly` counts corners in pixel centres and paints the outline too: 121 pixels. On slanted
    edges COCO's code rounds to fifths of a pixel, so single pixels of the outline may differ from it.
    """
    h, w = hw
    crossed = np.zeros((h, w + 1), dtype=bool)
    for (xa, ya), (xb, yb) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if ya == yb:
            continue
        first, end = (int(np.clip(np.ceil(y - 0.5), 0, h)) for y in sorted((ya, yb)))
        rows = np.arange(first, end)
        x = xa + (rows + 0.5 - ya) * (xb - xa) / (yb - ya)
        crossed[rows, np.clip(np.ceil(x - 0.5), 0, w).astype(np.intp)] ^= True
    return np.asarray(np.logical_xor.accumulate(crossed, axis=1)[:, :w], np.bool_)


def parse_counts(code: str | Sequence[object]) -> tuple[int, ...]:
    """COCO's counts, a list or the compressed text, as a tuple of run lengths.

    The text holds base-32 numbers, lowest digits first, six bits a character from "0" on: 32 says that
    more follow, 16 in the last one that the number is negative. From the fourth number on, each is the
    difference to the one two before it. Raises ValueError when it is not of that form.
    Source: rleFrString in common/maskApi.c of cocodataset/cocoapi.
    """
    counts = _decompressed(code) if isinstance(code, str) else _whole(code)
    if (counts < 0).any():
        raise ValueError("a run length is negative")
    return tuple(counts.tolist())


def _whole(code: Sequence[object]) -> NDArray[np.int64]:
    if not all(isinstance(count, int) for count in code):
        raise ValueError("the run lengths are not whole numbers")
    return np.array(code, dtype=np.int64)


def _decompressed(text: str) -> NDArray[np.int64]:
    digits = np.array([ord(character) - 48 for character in text], dtype=np.int64)
    if digits.size and (digits.min() < 0 or digits.max() > 63 or digits[-1] & 32):
        raise ValueError("the compressed run lengths are damaged")
    ends = np.flatnonzero((digits & 32) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)[: ends.size]
    lengths = ends - starts + 1
    if lengths.size and lengths.max() > 10:  # 50 bits: no image is that large
        raise ValueError("the compressed run lengths are damaged")
    places = np.arange(digits.size) - np.repeat(starts, lengths)
    if not ends.size:
        return np.zeros(0, dtype=np.int64)
    numbers = np.add.reduceat((digits & 31) << (5 * places), starts)
    numbers -= np.where(digits[ends] & 16, np.left_shift(1, 5 * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
