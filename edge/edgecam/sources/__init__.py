"""Cameras by URI. To add a kind: one module with an opener, one line in OPENERS, one rule in `kind_of`."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from edgecam.sources.source import Source
from edgecam_engines.photo import is_photo

Say = Callable[[str], None]


def _open_camera(uri: str, say: Say) -> Source:
    from edgecam.sources.camera import open_camera

    return open_camera(uri)


def _open_csi(uri: str, say: Say) -> Source:
    from edgecam.sources.camera import open_csi

    return open_csi(uri)


def _open_stream(uri: str, say: Say) -> Source:
    from edgecam.sources.stream import open_stream

    return open_stream(uri)


def _open_photos(uri: str, say: Say) -> Source:
    from edgecam.sources.photos import open_photos

    return open_photos(uri, say)


def _open_video(uri: str, say: Say) -> Source:
    from edgecam.sources.video import open_video

    return open_video(uri)


OPENERS: Final[dict[str, Callable[[str, Say], Source]]] = {
    "camera": _open_camera,
    "csi": _open_csi,
    "rtsp": _open_stream,
    "rtsps": _open_stream,
    "photos": _open_photos,
    "video": _open_video,
}


def kind_of(uri: str) -> str:
    """Which opener a URI is for, by its scheme, its shape, or what is at its path."""
    scheme, separator, _ = uri.partition("://")
    if separator and scheme.lower() in OPENERS:
        return scheme.lower()
    if uri.isdecimal() or uri.startswith("/dev/"):
        return "camera"
    path = Path(uri)
    return "photos" if path.is_dir() or (path.is_file() and is_photo(path)) else "video"


def open_source(uri: str, say: Say) -> Source:
    """Open what a URI names; `say` is told of what is left out. Raises SourceError."""
    return OPENERS[kind_of(uri)](uri, say)
