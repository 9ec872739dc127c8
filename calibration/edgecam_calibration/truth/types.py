"""What is known of where things are: boxes and masks of photos, whatever format they came in.

One convention for all: **boxes are x0, y0, x1, y1 in pixels of the image, 0-based, and both corners belong
to the box**: it covers the columns x0..x1 and the rows y0..y1, so its width is x1 - x0 + 1. It is how the
published WSOL metadata is stored (among its 80,477 ImageNet boxes the smallest x0 is 0 and the largest
x1 is width - 1) and how the protocol's IoU counts. Each reader says how its format is brought to it:

    wsol, csv   as stored
    ilsvrc      as stored: ImageNet's XML and CSV hold the same numbers as the published metadata
    voc         1-based, inclusive -> each less 1
    coco        x, y, w, h of edges -> x, y, x + w - 1, y + h - 1
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

IGNORE: Final = 255  # a pixel that counts neither for nor against

Boxes = NDArray[np.float64]  # (k, 4) x0, y0, x1, y1, see above
Mask = NDArray[np.uint8]  # (h, w)
Label = str | int | None  # a class's name, its index as the format counts, or not said


def no_boxes() -> Boxes:
    """(0, 4)."""
    return np.zeros((0, 4))


@dataclass(frozen=True)
class BadAnnotation:
    """One thing that is wrong in a file of annotations."""

    path: Path
    where: str  # "line 12", "object 2", "annotation 41"; empty for the whole file
    reason: str
    kept: bool = False  # True: used as it stands; False: left out

    def __str__(self) -> str:
        place = f"{self.path}, {self.where}" if self.where else f"{self.path}"
        return f"{place}: {self.reason} ({'used as it stands' if self.kept else 'left out'})"


class Masks(Protocol):
    """The masks of one image, read when they are asked for. Raises BadMask for a file that cannot be."""

    def mask(self, hw: tuple[int, int]) -> Mask:
        """(h, w), nearest neighbour: 1 object, 0 background, 255 ignore."""
        ...

    def class_map(self, hw: tuple[int, int], classes: Sequence[str]) -> Mask:
        """(h, w), nearest neighbour: 0 background, k + 1 for classes[k], 255 ignore.

        An object of a class that is not among `classes`, or that is not named, is ignored.
        """
        ...

    def of_class(self, label: str) -> "Masks":
        """The same with this class's objects only; objects whose class is not said stay."""
        ...


@dataclass(frozen=True, eq=False)
class ImageTruth:
    """Where things are in one image. An image may have boxes, masks, both, or (nothing in it) neither."""

    image_id: str  # as the format names it, usually a path below a folder of images
    size: tuple[int, int] | None = None  # (w, h) of the image that the boxes are measured in
    label: Label = None  # what the image shows; None when it is not said or shows several classes
    boxes: Boxes = field(default_factory=no_boxes)
    box_labels: tuple[Label, ...] = ()  # (k,) one for each box; None is any class
    masks: Masks | None = None

    def mask(self, hw: tuple[int, int] | None = None) -> Mask:
        """(h, w): 1 object, 0 background, 255 ignore; at the image's own size unless `hw` is given.

        Raises ValueError for an image that has no masks, or no size when `hw` is left out.
        """
        if self.masks is None:
            raise ValueError(f"{self.image_id} has no mask.")
        if hw is None and self.size is None:
            raise ValueError(f"The size of {self.image_id} is not known: say which one the mask should have.")
        return self.masks.mask(hw or (self.size or (0, 0))[::-1])

    def of_class(self, label: str) -> "ImageTruth":
        """What is said of one class only; boxes and masks whose class is not said stay."""
        rows = [k for k, said in enumerate(self.box_labels) if said is None or said == label]
        return replace(
            self,
            boxes=self.boxes[rows],
            box_labels=tuple(self.box_labels[k] for k in rows),
            masks=None if self.masks is None else self.masks.of_class(label),
        )


@dataclass(frozen=True)
class Truth:
    """All that one file or folder of annotations says."""

    format: str  # a name of the registry, "coco"
    images: Mapping[str, ImageTruth]  # by image_id, in the order of the file
    classes: tuple[str, ...] = ()  # as far as the format names them
    problems: tuple[BadAnnotation, ...] = ()  # every one is to be shown
