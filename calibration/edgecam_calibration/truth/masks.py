"""The masks of one image, in the two forms that formats have: one region each, or one picture of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.truth.pictures import read_levels
from edgecam_calibration.truth.shapes import Bits, Shape
from edgecam_calibration.truth.types import IGNORE, Label, Mask


@dataclass(frozen=True)
class Regions:
    """Objects drawn one by one, and regions to ignore. A pixel that is both is the object's."""

    objects: tuple[tuple[Label, Shape], ...]
    ignored: tuple[Shape, ...] = ()

    def mask(self, hw: tuple[int, int]) -> Mask:
        """See types.Masks. What the protocol calls mask and ignore mask comes out the same, bit for bit."""
        out = self._ignored(hw)
        for _, shape in self.objects:
            out[_resized(shape, hw)] = 1
        return out

    def class_map(self, hw: tuple[int, int], classes: Sequence[str]) -> Mask:
        """See types.Masks. Where objects overlap, the later one in the file is on top."""
        out = self._ignored(hw)
        for label, shape in self.objects:
            out[_resized(shape, hw)] = classes.index(label) + 1 if label in classes else IGNORE
        return out

    def of_class(self, label: str) -> "Regions":
        """See types.Masks."""
        return replace(self, objects=tuple(pair for pair in self.objects if pair[0] in (None, label)))

    def _ignored(self, hw: tuple[int, int]) -> Mask:
        out = np.zeros(hw, dtype=np.uint8)
        for shape in self.ignored:
            out[_resized(shape, hw)] = IGNORE
        return out


@dataclass(frozen=True)
class NumberedPicture:
    """One picture whose pixels are numbers: 0 background, else an object.

    With `names`, number k + 1 is an object of names[k], 255 is void and any other number is ignored.
    Without, every number but 0 is an object whose class is not said; 255 too unless `void` is set.
    """

    path: Path
    names: tuple[str, ...] = ()
    void: bool = True
    only: str | None = None  # a single class; the others are background

    def mask(self, hw: tuple[int, int]) -> Mask:
        """See types.Masks."""
        numbers = self._numbers(hw)
        out = self._wanted(numbers).astype(np.uint8)
        out[self._is_ignored(numbers)] = IGNORE
        return out

    def class_map(self, hw: tuple[int, int], classes: Sequence[str]) -> Mask:
        """See types.Masks."""
        numbers = self._numbers(hw)
        table = np.full(256, IGNORE, dtype=np.uint8)
        table[0] = 0
        for k, name in enumerate(self.names, start=1):
            if self.only not in (None, name):
                table[k] = 0
            elif name in classes:
                table[k] = classes.index(name) + 1
        return np.asarray(table[numbers], np.uint8)

    def of_class(self, label: str) -> "NumberedPicture":
        """See types.Masks."""
        return replace(self, only=label) if self.names else self

    def _numbers(self, hw: tuple[int, int]) -> NDArray[np.uint8]:
        return _nearest(read_levels(self.path), hw)

    def _wanted(self, numbers: NDArray[np.uint8]) -> Bits:
        if self.only is None:
            return numbers > 0
        return np.isin(numbers, [k for k, name in enumerate(self.names, start=1) if name == self.only])

    def _is_ignored(self, numbers: NDArray[np.uint8]) -> Bits:
        if self.names:
            return numbers > len(self.names)
        return np.asarray((numbers == IGNORE) & self.void, np.bool_)


def _resized(shape: Shape, hw: tuple[int, int]) -> Bits:
    return _nearest(shape.bits().astype(np.uint8), hw) > 0


def _nearest(levels: NDArray[np.uint8], hw: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W) -> (h, w) by OpenCV's nearest neighbour, as the published evaluation resizes its masks."""
    if levels.shape == hw:
        return levels
    return np.asarray(cv2.resize(levels, hw[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
