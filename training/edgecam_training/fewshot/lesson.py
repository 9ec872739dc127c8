"""What goes into a lesson and what comes out of it."""

from dataclasses import dataclass
from typing import NamedTuple

from edgecam_engines.taught.versions import Taught
from edgecam_training.fewshot.choose import AUTO
from edgecam_training.fewshot.example import Example
from edgecam_training.fewshot.figures import Figures
from edgecam_training.fewshot.fit import Fitted, Taken
from edgecam_training.fewshot.reject import MAX_FALSE_REJECT


@dataclass(frozen=True)
class Ways:
    """How a head is fitted. Kept with each version, so that the next one is fitted alike."""

    method: str = AUTO
    alone: bool = False  # without the classes that the bundle was built with
    max_false_reject: float = MAX_FALSE_REJECT


class Added(NamedTuple):
    """What became of a photo."""

    example: Example
    was: str | None  # the class that the very same photo had before; None: it is new
    like: str | None  # the id of another photo of its class that shows the same; None: none does


class Lesson(NamedTuple):
    """A head that was fitted and is in use."""

    taught: Taught
    fitted: Fitted
    taken: Taken
    figures: Figures
    ids: list[str]  # of the photos in `taken`


class Undone(NamedTuple):
    """What undo went back to."""

    version: int | None  # None: the head is gone, as it was before anything was taught
    photos: int  # in use now
    missing: list[str]  # ids of photos that could not be brought back
