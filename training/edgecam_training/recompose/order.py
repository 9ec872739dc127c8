"""What `edgecam data augment` is asked for, and what does the work."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecam_training.recompose.fill import Fill
from edgecam_training.recompose.teacher import Teacher


@dataclass(frozen=True)
class Order:
    """How much of what."""

    per_class: int
    agree: float = 0.5  # the teacher's least probability of the class on a new photo
    size: int = 320  # pixels of the longer side
    seed: int = 0
    with_originals: bool = False


@dataclass(frozen=True)
class Tools:
    """What does the work."""

    teacher: Teacher
    fill: Fill  # closes the hole that a thing leaves in its ground
    repaint: Fill | None = None  # paints everything but the thing anew
    grounds: Sequence[Path] | None = None  # a user's own, instead of the other classes'
