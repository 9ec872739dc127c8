"""What the tests of teaching while the loop runs share: a tutor that keeps lists, answers with features."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edgecam.result import Result
from edgecam.settings import RunSettings
from edgecam.teaching.choice import HeadChoice
from edgecam.teaching.desk import Desk
from edgecam.teaching.tutor import Notebook, Photo, Shot, Took
from edgecam_engines.engine import Engine, Frame
from edgecam_engines.errors import BundleError, DataError
from edgecam_engines.fixed import FixedEngine


class ListTutor:
    """Learns nothing, and remembers what it was asked for. Its versions are the photos there were."""

    def __init__(self) -> None:
        self.photos: dict[str, tuple[str, str]] = {}  # label, source
        self.versions: list[dict[str, tuple[str, str]]] = []
        self.shots: list[Shot] = []
        self.fails: Exception | None = None  # raised by the next fit
        self.fitting = threading.Event()
        self.may_fit = threading.Event()
        self.may_fit.set()

    def add(self, shot: Shot) -> Took:
        self.shots.append(shot)
        self.photos[f"{len(self.shots)}"] = shot.label, shot.source
        return "new"

    def relabel(self, photo_id: str, label: str) -> None:
        self.photos[photo_id] = label, self.photos[photo_id][1]

    def remove(self, photo_id: str) -> None:
        if photo_id not in self.photos:
            raise DataError("That photo is not there any more.")
        del self.photos[photo_id]

    def fit(self) -> None:
        self.fitting.set()
        self.may_fit.wait(10)
        if (error := self.fails) is not None:
            self.fails = None
            raise error
        self.versions.append(dict(self.photos))

    def undo(self) -> None:
        if self._learned() == self.photos:
            self.versions.pop()
        self.photos = dict(self._learned())

    def notebook(self) -> Notebook:
        photos = tuple(Photo(key, label, "", source) for key, (label, source) in self.photos.items())
        differ = set(self.photos.items()) ^ set(self._learned().items())
        return Notebook(len(self.versions) or None, photos, None, len(differ))

    def _learned(self) -> dict[str, tuple[str, str]]:
        return self.versions[-1] if self.versions else {}


class ListTutors:
    """Opens the same tutor each time, unless it is `locked`."""

    name = "taught"

    def __init__(self) -> None:
        self.tutor, self.opened, self.closed = ListTutor(), 0, 0
        self.locked = False

    def check_label(self, label: str) -> str:
        if "/" in label or label.startswith("."):
            raise DataError(f"A class cannot be called {label!r}: it is a folder's name too.\nUse letters.")
        return label

    def heads(self) -> list[str]:
        return ["default", "taught"]

    def look(self) -> Notebook:
        return self.tutor.notebook()

    @contextmanager
    def open(self, engine: Engine) -> Iterator[ListTutor]:
        if self.locked:
            raise BundleError("line.edgecam is being taught by another program (process 7).\nWait.")
        self.opened += 1
        yield self.tutor
        self.closed += 1


@contextmanager
def desk_of(tutors: ListTutors, idle_s: float = 30.0) -> Iterator[Desk]:
    """A desk; the loop answers by `default` at first."""
    choice = HeadChoice("default", RunSettings(Path("line.edgecam")))
    desk = Desk(tutors, choice, FixedEngine(), idle_s=idle_s)
    try:
        yield desk
    finally:
        tutors.tutor.may_fit.set()
        desk.close()


def textured(seed: int, hw: tuple[int, int] = (120, 160)) -> Frame:
    """Sharp, well lit, and another one for every seed."""
    h, w = hw
    return np.random.default_rng(seed).integers(40, 210, (h, w, 3)).astype(np.uint8)


def said_of(frame: Frame, camera: str = "front") -> Result:
    """An answer about a frame that carries features of it."""
    features = np.full((1, 3, 4, 4), frame.mean() / 255, np.float32)
    return Result(0, 0.0, 1.0, 0, "unknown", 0.2, None, (), None, camera, features=features)
