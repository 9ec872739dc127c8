"""The seam between the loop, which has frames and features, and whoever learns from them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal, NamedTuple, Protocol

from edgecam_engines.engine import Engine, Features, Frame


class Shot(NamedTuple):
    """A frame to learn from."""

    frame: Frame  # what the engine sees of it, any size
    label: str
    source: str  # the camera's name, or which event or hard frame it is of; never holds a password
    features: Features | None = None  # (1, d, gh, gw), what the engine said of it; None: it is asked again


Took = Literal["new", "alike", "known"]  # alike: it shows what another one shows; known: the very same photo


class Photo(NamedTuple):
    """A photo that was taken in."""

    id: str
    label: str
    taken_at: str  # UTC, ISO 8601
    source: str


def _no_tile(photo_id: str) -> bytes | None:
    return None


class Notebook(NamedTuple):
    """All that was taught, at one moment. May be read from any thread."""

    version: int | None = None  # of the head; None: there is none yet
    photos: tuple[Photo, ...] = ()  # by class, the newest first
    figures: dict[str, Any] | None = None  # how good that version is, as `teach --json` says it
    unlearned: int = 0  # photos that were added, taken out or renamed since
    tile: Callable[[str], bytes | None] = _no_tile  # id -> JPEG with its map; None: there is none


class Tutor(Protocol):
    """Teaches one head of one bundle, alone, while it is open. From one thread. All raise EdgecamError."""

    def add(self, shot: Shot, /) -> Took:
        """Take a photo in; it is on disk before this returns."""
        ...

    def relabel(self, photo_id: str, label: str, /) -> None: ...

    def remove(self, photo_id: str, /) -> None: ...

    def fit(self) -> None:
        """Learn: write a new version from all photos there are. Raises DataError where they are too few."""
        ...

    def undo(self) -> None:
        """Take back what was not learned yet; if there is nothing of it, go back one version."""
        ...

    def notebook(self) -> Notebook: ...


class Tutors(Protocol):
    """Where a tutor comes from."""

    name: str  # of the head that is taught

    def check_label(self, label: str, /) -> str:
        """A class's name, if it can be one. Raises DataError."""
        ...

    def heads(self) -> list[str]:
        """Every class head that the loop can answer by."""
        ...

    def look(self) -> Notebook:
        """What was taught; whoever teaches meanwhile. Raises EdgecamError."""
        ...

    def open(self, engine: Engine, /) -> AbstractContextManager[Tutor]:
        """Nobody else teaches this bundle until it is closed. Raises BundleError when somebody does."""
        ...
