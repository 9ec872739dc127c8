"""Opening what `--camera` names: live sources in processes of their own, files and folders in a thread."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

from edgecam.isolation.process import OPENER, Job
from edgecam.isolation.reader import ProcessReader
from edgecam.loop.gate import Gate
from edgecam.loop.lane import Lane
from edgecam.loop.motion import Motion
from edgecam.loop.region import parse_region
from edgecam.settings import RunSettings
from edgecam.sources import kind_of, open_source
from edgecam.sources.bell import Bell
from edgecam.sources.reader import Reader, ThreadReader

Say = Callable[[str], None]
_KEPT_WHOLE: Final = frozenset({"photos", "video"})  # every frame of these is answered


class Cameras:
    """Every camera of a run, from the moment that its process starts to the end of `cleanup`."""

    def __init__(
        self, cleanup: ExitStack, settings: RunSettings, say: Say, opener: str | None = None
    ) -> None:
        """Cameras are begun at once, files only when they are read: their frames would be gone.

        `opener` opens every source, as a live one; None: what the URI says.
        """
        self.bell = Bell()
        self._cleanup, self._settings, self._say, self._opener = cleanup, settings, say, opener
        self._region = None if settings.roi is None else parse_region(settings.roi)
        self._begun = [
            self._process(uri) if opener is not None or is_live(uri) else None for uri in settings.camera
        ]

    def lanes(self, going_on: Callable[[], bool]) -> list[Lane]:
        """Wait until all are open. Raises SourceError for the first that cannot be."""
        readers: list[Reader] = [
            self._read(uri) if begun is None else begun
            for uri, begun in zip(self._settings.camera, self._begun, strict=True)
        ]
        for reader in readers:
            if isinstance(reader, ProcessReader):
                reader.wait_open(going_on)
        names = distinct([reader.name for reader in readers])
        return [self._lane(name, reader) for name, reader in zip(names, readers, strict=True)]

    def _lane(self, name: str, reader: Reader) -> Lane:
        settings = self._settings
        gate = Gate(settings.every, settings.fps if reader.live else None)
        return Lane(name, reader, gate, self._region, Motion() if settings.on_motion else None)

    def _read(self, uri: str) -> Reader:
        if self._settings.realtime:
            return self._process(uri)
        reader = ThreadReader(open_source(uri, self._say), bell=self.bell)
        self._cleanup.callback(reader.stop)
        return reader

    def _process(self, uri: str) -> ProcessReader:
        reader = ProcessReader(
            Job(uri, self._settings.realtime, self._opener or OPENER), self._say, bell=self.bell
        )
        self._cleanup.callback(reader.stop)
        return reader


def is_live(uri: str) -> bool:
    """Whether what a URI names goes on whether somebody looks or not."""
    return kind_of(uri) not in _KEPT_WHOLE


def distinct(names: Sequence[str]) -> list[str]:
    """The same names, with numbers behind those that are there already."""
    found: list[str] = []
    for name in names:
        number, new = 1, name
        while new in found:
            number += 1
            new = f"{name} ({number})"
        found.append(new)
    return found
