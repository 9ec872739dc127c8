"""Teaching while a camera runs: what `edgecam.teaching` asks for, done by `edgecam_training.fewshot`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import cv2

from edgecam.commands.teach_tile import tile_of
from edgecam.settings import RunSettings
from edgecam.teaching.choice import HeadChoice
from edgecam.teaching.desk import Teaching
from edgecam.teaching.tutor import Notebook, Photo, Shot, Took
from edgecam_engines.bundle import Bundle, open_bundle
from edgecam_engines.engine import Engine
from edgecam_engines.errors import BundleError, DataError
from edgecam_engines.taught.versions import Taught, current, folder_of, load_version
from edgecam_training.fewshot.example import Example, check_label
from edgecam_training.fewshot.store import Store, open_store
from edgecam_training.fewshot.teacher import Teacher, open_teacher

JPEG_QUALITY: Final = 85


class LiveTutors:
    """Tutors of one head of the bundle that a loop runs."""

    def __init__(self, bundle: Bundle, settings: RunSettings) -> None:
        """Raises BundleError for a head that cannot be taught."""
        assert settings.teach is not None
        self.name, self._bundle, self._settings = settings.teach, bundle, settings
        if self.name in bundle.manifest.heads:
            raise BundleError(
                f"The head {self.name!r} was built with {bundle.path.name} and stays as it was measured.\n"
                f"Give the one that is taught another name: --teach taught"
            )
        self._folder = folder_of(bundle.path, self.name)

    def check_label(self, label: str) -> str:
        return check_label(label)

    def heads(self) -> list[str]:
        return self._bundle.heads

    def look(self) -> Notebook:
        return _notebook(open_store(self._folder), _version(self._folder))

    @contextmanager
    def open(self, engine: Engine) -> Iterator["LiveTutor"]:
        if not self._bundle.is_current():
            raise BundleError(
                f"{self._bundle.path.name} was built anew since this loop was started, so its engine is "
                f"another one.\nStart the loop again, then teach."
            )
        with open_teacher(self._bundle, self.name, backend=self._settings.backend, engine=engine) as teacher:
            yield LiveTutor(teacher)

    def usable(self) -> str | None:
        """The head's name, if something was taught that fits this bundle's network."""
        try:
            self._bundle.head(self.name)
        except BundleError:
            return None
        return self.name


class LiveTutor:
    """See `edgecam.teaching.tutor.Tutor`."""

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher
        self._newest: Taught | None = None  # the version that was read last

    def add(self, shot: Shot) -> Took:
        added = self._teacher.add(shot.frame, shot.label, source=shot.source, features=shot.features)
        if added.was == shot.label:
            return "known"
        return "new" if added.like is None else "alike"

    def relabel(self, photo_id: str, label: str) -> None:
        self._known(photo_id)
        self._teacher.store.relabel(photo_id, label)

    def remove(self, photo_id: str) -> None:
        self._known(photo_id)
        self._teacher.store.remove([photo_id])

    def fit(self) -> None:
        self._teacher.fit(quick=True)

    def undo(self) -> None:
        if _unlearned(self._teacher.store, self._version()):
            self._teacher.take_back()
        else:
            self._teacher.undo()

    def notebook(self) -> Notebook:
        return _notebook(self._teacher.store, self._version())

    def _version(self) -> Taught | None:
        """The version in use; read once, since it is asked for with every photo."""
        version = current(self._teacher.folder)
        if version is None or self._newest is None or self._newest.version != version:
            self._newest = _version(self._teacher.folder)
        return self._newest

    def _known(self, photo_id: str) -> None:
        if photo_id not in self._teacher.store.examples:
            raise DataError("That photo is not there any more.")


def open_teaching(settings: RunSettings) -> Teaching:
    """Who teaches the head that `settings` name, and who says which head answers. Raises BundleError."""
    bundle = open_bundle(settings.bundle)
    tutors = LiveTutors(bundle, settings)
    choice = HeadChoice(settings.head or bundle.manifest.head, settings, tutors.usable())
    return Teaching(tutors, choice)


def _version(folder: Path) -> Taught | None:
    version = current(folder)
    return None if version is None else load_version(folder, version)


def _unlearned(store: Store, taught: Taught | None) -> int:
    """How many photos are not as they were when this version was learned."""
    learned = {} if taught is None else dict(taught.about["examples"])
    now = {each.id: each.label for each in store.examples.values()}
    return len(set(learned.items()) ^ set(now.items()))


def _notebook(store: Store, taught: Taught | None) -> Notebook:
    newest = sorted(store.examples.values(), key=lambda each: each.taken_at, reverse=True)
    photos = sorted(newest, key=lambda each: each.label)
    return Notebook(
        version=None if taught is None else taught.version,
        photos=tuple(Photo(each.id, each.label, each.taken_at, each.source) for each in photos),
        figures=None if taught is None else dict(taught.about["figures"]),
        unlearned=_unlearned(store, taught),
        tile=_tiles({each.id: each for each in photos}, taught),
    )


def _tiles(examples: dict[str, Example], taught: Taught | None) -> Callable[[str], bytes | None]:
    """Made when they are asked for, each time: a page keeps what it has."""

    def tile(photo_id: str) -> bytes | None:
        example = examples.get(photo_id)
        frame = None if example is None else tile_of(example, None if taught is None else taught.head)
        if frame is None:
            return None
        return bytes(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])

    return tile
