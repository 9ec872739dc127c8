"""A network camera over RTSP: rtsp://USER:PASSWORD@ADDRESS/PATH#transport=tcp."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import cv2

from edgecam.sources import gstreamer
from edgecam.sources.capture import Attempt, LiveCapture, first_to_open, gives_frames
from edgecam.sources.gst import open_pipelines
from edgecam.sources.options import one_of, option, read_options, real, whole
from edgecam.sources.source import Source
from edgecam.sources.uri import Address, split_url
from edgecam_engines.errors import SourceError

CONNECT_S: Final = 3.0
PORTS: Final = {"rtsp": 554, "rtsps": 322}
# TCP, since lost UDP packets smear the picture; no buffers, since old frames are worthless here.
FFMPEG_VARIABLE: Final = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
FFMPEG_OPTIONS: Final = "rtsp_transport;{transport}|fflags;nobuffer|flags;low_delay"
# FFmpeg watches a stream for seconds to learn its rate; half of one is enough to learn its size from most.
HASTE: Final = "|analyzeduration;500000|fpsprobesize;1"
_OPENING: Final = threading.Lock()  # one at a time: the environment belongs to the whole process


@dataclass(frozen=True)
class StreamOptions:
    """Behind the #, since the query belongs to the camera."""

    transport: str = option(one_of("tcp", "udp"), "tcp")
    timeout: float = option(real(0.5, 60), 5.0)  # seconds without anything, at opening and later
    latency: int = option(whole(0, 10_000), 100)  # ms that a hardware pipeline holds back to put in order
    decoder: str = option(one_of("auto", "ffmpeg", "hardware"), "auto")


def open_stream(uri: str, say: Callable[[str], None]) -> Source:
    """Open rtsp:// or rtsps://. Raises SourceError that names the stage that failed."""
    address = split_url(uri, PORTS)
    asked = read_options(StreamOptions, address.options, address.name)
    reach(address)
    if asked.decoder == "hardware" or (asked.decoder == "auto" and gstreamer.on_jetson()):
        hardware = _hardware(address, asked, say)
        if hardware is not None:
            return hardware
    return _ffmpeg(address, asked)


def reach(address: Address) -> None:
    """Connect once, which tells a wrong address from a wrong path. Raises SourceError."""
    try:
        socket.create_connection((address.host, address.port), timeout=CONNECT_S).close()
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise SourceError(
            f"{address.name} cannot be reached: {why} ({address.host}, port {address.port}).\n"
            f"Check that the camera is on and in this network:\n    ping {address.host}"
        ) from error


def _hardware(address: Address, asked: StreamOptions, say: Callable[[str], None]) -> Source | None:
    parts = urlsplit(address.url)
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    bodies = [
        gstreamer.rtsp(plain, codec, address.user, address.password, asked.latency, asked.transport)
        for codec in ("h264", "h265")
    ]
    if asked.decoder == "hardware":
        return open_pipelines(bodies, address.name, say)
    with suppress(SourceError):
        return open_pipelines(bodies, address.name, say)
    say(f"{address.name}: the hardware decoders did not take it, so FFmpeg decodes it on the CPU.")
    return None


def _ffmpeg(address: Address, asked: StreamOptions) -> LiveCapture:
    name = address.name
    plain = FFMPEG_OPTIONS.format(transport=asked.transport)
    capture = None
    for options in (plain + HASTE, plain):
        with _ffmpeg_options(options):
            capture = capture or first_to_open([_attempt(address, asked)])
    if capture is None:
        raise SourceError(
            f"{name} answers, but gives no stream: the path, the user or the password may be wrong, "
            f"or it does not speak RTSP.\n"
            f"Try the same URL elsewhere:\n    ffplay -rtsp_transport {asked.transport} '{name}'"
        )
    if not gives_frames(capture):
        capture.release()
        raise SourceError(
            f"{name} opens but gives no frames within {asked.timeout:g} s.\n"
            f"Check the camera's own page: the stream may be switched off or have too many viewers."
        )
    return LiveCapture(capture, name)


def _attempt(address: Address, asked: StreamOptions) -> Attempt:
    limit = round(asked.timeout * 1000)
    limits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit)
    # One decoder thread: with n of them FFmpeg holds n - 1 frames back, and their age grows.
    return Attempt(address.url, cv2.CAP_FFMPEG, (*limits, cv2.CAP_PROP_N_THREADS, 1))


@contextmanager
def _ffmpeg_options(options: str) -> Iterator[None]:
    """OpenCV takes FFmpeg's options from the environment only; left there, files would lose frames."""
    with _OPENING:
        if FFMPEG_VARIABLE in os.environ:  # somebody's own choice
            yield
            return
        os.environ[FFMPEG_VARIABLE] = options
        try:
            yield
        finally:
            del os.environ[FFMPEG_VARIABLE]
