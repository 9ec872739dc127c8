"""A folder of photos, or one photo, as a source: each photo is a frame."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from edgecam_engines.engine import Frame
from edgecam_engines.errors import SourceError
from edgecam_engines.photo import SUFFIXES, BadPhoto, is_photo, read_photo

PHOTOS_PER_S: Final = 2.0  # the pace of a recording made from photos


class Photos:
    """Photos in the order of their names; one that cannot be read is named and left out."""

    live = False
    fps = PHOTOS_PER_S

    def __init__(self, paths: Sequence[Path], name: str, say: Callable[[str], None]) -> None:
        self.name = name
        self._frames = self._decoded(paths, say)
        self._first = next(self._frames, None)
        self._grabbed: Frame | None = None
        if self._first is None:
            raise SourceError(
                f"None of the {len(paths)} photos in {name} can be read; the lines above say why."
            )

    def grab(self) -> bool:
        self._grabbed = self._first if self._first is not None else next(self._frames, None)
        self._first = None
        return self._grabbed is not None

    def retrieve(self) -> Frame:
        frame, self._grabbed = self._grabbed, None
        if frame is None:
            raise SourceError(f"{self.name} has no more photos.")
        return frame

    def stamp(self) -> float | None:
        return None

    def close(self) -> None:
        self._frames = iter(())

    @staticmethod
    def _decoded(paths: Sequence[Path], say: Callable[[str], None]) -> Iterator[Frame]:
        for path in paths:
            try:
                yield read_photo(path)
            except BadPhoto as bad:
                say(f"{path} is left out: {bad.reason}.")


def open_photos(uri: str, say: Callable[[str], None]) -> Photos:
    """Open a folder, subfolders included, or one photo. Raises SourceError when there is nothing in it."""
    path = Path(uri)
    try:
        found = (
            [path] if path.is_file() else sorted(p for p in path.rglob("*") if is_photo(p) and p.is_file())
        )
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.\nCheck it with: ls -l {path}") from error
    if not found:
        raise SourceError(
            f"The folder {path} holds no photos.\nPhotos end in {', '.join(sorted(SUFFIXES))}. "
            f"Give --camera another folder, a video file or a camera."
        )
    return Photos(found, str(path), say)
