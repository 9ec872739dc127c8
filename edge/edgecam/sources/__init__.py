"""Cameras by URI. To add a kind: one module with an opener, one line in OPENERS, one rule in `kind_of`."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from edgecam.sources.hiding import hide, printable
from edgecam.sources.source import Source
from edgecam.sources.uri import Parts, exists, nearest, scheme_of, split_path, split_scheme
from edgecam_engines.errors import SourceError
from edgecam_engines.photo import is_photo

Say = Callable[[str], None]


def _open_camera(uri: str, say: Say) -> Source:
    from edgecam.sources.camera import open_camera

    return open_camera(uri, say)


def _open_csi(uri: str, say: Say) -> Source:
    from edgecam.sources.csi import open_csi

    return open_csi(uri, say)


def _open_stream(uri: str, say: Say) -> Source:
    from edgecam.sources.stream import open_stream

    return open_stream(uri, say)


def _open_http(uri: str, say: Say) -> Source:
    from edgecam.sources.mjpeg import open_http

    return open_http(uri, say)


def _open_gst(uri: str, say: Say) -> Source:
    from edgecam.sources.gst import open_gst

    return open_gst(uri, say)


def _open_fixed(uri: str, say: Say) -> Source:
    from edgecam.sources.fixed import open_fixed

    return open_fixed(uri)


def _open_photos(uri: str, say: Say) -> Source:
    from edgecam.sources.photos import open_photos
    from edgecam.sources.playback import play

    return play(_path_of(uri), lambda path: open_photos(path, say))


def _open_video(uri: str, say: Say) -> Source:
    from edgecam.sources.playback import play
    from edgecam.sources.video import open_video

    return play(_path_of(uri), open_video)


OPENERS: Final[dict[str, Callable[[str, Say], Source]]] = {
    "camera": _open_camera,
    "csi": _open_csi,
    "rtsp": _open_stream,
    "http": _open_http,
    "gst": _open_gst,
    "fixed": _open_fixed,
    "photos": _open_photos,
    "video": _open_video,
}
SCHEMES: Final = {
    "v4l2": "camera",
    "csi": "csi",
    "rtsp": "rtsp",
    "rtsps": "rtsp",
    "http": "http",
    "https": "http",
    "gst": "gst",
    "fixed": "fixed",
    "file": "file",  # photos or a video
}


def kind_of(uri: str) -> str:
    """Which opener a URI is for, by its scheme, its shape, or what is at its path. Raises SourceError."""
    scheme = scheme_of(uri)
    if scheme in SCHEMES and scheme != "file":
        return SCHEMES[scheme]
    parts = _path_of(uri)
    path = Path(parts.where)
    there = exists(parts.where)
    if scheme and scheme != "file" and not there:
        raise SourceError(
            f"{scheme}:// is no kind of camera.{nearest(scheme, list(SCHEMES))}\n"
            f"There are {', '.join(f'{known}://' for known in SCHEMES)}, or a path, or a number such as 0."
        )
    if (parts.where.isdecimal() and parts.where.isascii()) or parts.where.startswith("/dev/"):
        return "camera"
    return "photos" if there and (path.is_dir() or (path.is_file() and is_photo(path))) else "video"


def open_source(uri: str, say: Say) -> Source:
    """Open what a URI names; `say` is told what a person should know. Raises SourceError."""
    return OPENERS[kind_of(uri)](uri, say)


def name_of(uri: str) -> str:
    """What a camera may be called before it is open: its URI without any password."""
    return printable(uri) if SCHEMES.get(scheme_of(uri)) in ("rtsp", "http") else hide(uri)


def _path_of(uri: str) -> Parts:
    return split_scheme(uri) if scheme_of(uri) == "file" else split_path(uri)
