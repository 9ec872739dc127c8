"""A network camera over RTSP."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import cv2

from edgecam.sources import gstreamer
from edgecam.sources.capture import Attempt, LiveCapture, first_to_open, gives_frames
from edgecam_engines.errors import SourceError

CONNECT_S: Final = 3.0
OPEN_MS: Final = 5000
READ_MS: Final = 5000
RTSP_PORT: Final = 554
RTSPS_PORT: Final = 322
# TCP, since lost UDP packets smear the picture; no buffers, since old frames are worthless here.
FFMPEG_VARIABLE: Final = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
FFMPEG_OPTIONS: Final = "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay"


def open_stream(uri: str) -> LiveCapture:
    """Open rtsp:// or rtsps://. Raises SourceError that names the stage that failed."""
    name = without_password(uri)
    _reach(uri, name)
    with _ffmpeg_options():
        capture = first_to_open(_attempts(uri))
    if capture is None:
        raise SourceError(
            f"{name} answers, but gives no stream: the path, the user or the password may be wrong, "
            f"or it does not speak RTSP.\n"
            f"Try the same URL elsewhere:\n    ffplay -rtsp_transport tcp '{name}'"
        )
    if not gives_frames(capture):
        capture.release()
        raise SourceError(
            f"{name} opens but gives no frames within {READ_MS / 1000:g} s.\n"
            f"Check the camera's own page: the stream may be switched off or have too many viewers."
        )
    return LiveCapture(capture, name)


def without_password(uri: str) -> str:
    """The URL as it may be printed: without user and password."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"***@{host}" if "@" in parts.netloc else host).geturl()


@contextmanager
def _ffmpeg_options() -> Iterator[None]:
    """OpenCV takes FFmpeg's options from the environment only; left there, files would lose frames."""
    if FFMPEG_VARIABLE in os.environ:  # somebody's own choice
        yield
        return
    os.environ[FFMPEG_VARIABLE] = FFMPEG_OPTIONS
    try:
        yield
    finally:
        del os.environ[FFMPEG_VARIABLE]


def _reach(uri: str, name: str) -> None:
    """Connect once, which tells a wrong address from a wrong path."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SourceError(f"{name} is not a URL: {error}.") from error
    if not host:
        raise SourceError(f"{name} names no camera. Write rtsp://USER:PASSWORD@ADDRESS:554/PATH.")
    port = port or (RTSPS_PORT if parts.scheme == "rtsps" else RTSP_PORT)
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except OSError as error:
        raise SourceError(
            f"{name} cannot be reached: {error.strerror or error} ({host}, port {port}).\n"
            f"Check that the camera is on and in this network:\n    ping {host}"
        ) from error


def _attempts(uri: str) -> list[Attempt]:
    limits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_MS)
    # One decoder thread: with n of them FFmpeg holds n - 1 frames back, and their age grows.
    plain = Attempt(uri, cv2.CAP_FFMPEG, (*limits, cv2.CAP_PROP_N_THREADS, 1))
    if not gstreamer.on_jetson():
        return [plain]
    pipelines = [gstreamer.rtsp(uri, codec) for codec in ("h264", "h265")]
    return [*(Attempt(pipeline, cv2.CAP_GSTREAMER) for pipeline in pipelines), plain]
