"""GStreamer's own framing of a pipe (the element `gdppay`): each packet says what it is and how long.

Frames come with their format in band, so a camera that changes its size in mid-stream is followed: what
raw bytes on a pipe can never tell. A header is 62 bytes, big-endian:

    0  version (1, 0)    2  flags    4  type (1 buffer, 2 caps, 64 and up events)    6  bytes of payload
    10 time stamp        18 duration    26 offsets    42 buffer flags    58 CRC of the header, of the payload

Source: GStreamer, gst/gdp/dataprotocol.h (layout only).
"""

import re
import struct
from collections.abc import Callable
from typing import Final

import numpy as np

from edgecam_engines.engine import Frame

HEADER: Final = struct.Struct(">BBBxHI")
HEADER_BYTES: Final = 62
BUFFER: Final = 1
CAPS: Final = 2
LONGEST: Final = 3 << 26  # bytes, of 8K frames twice over; more is not a frame but a broken pipe
_SIZE: Final = [re.compile(rf"\b{side}=\(int\)(\d+)") for side in ("height", "width")]
_RATE: Final = re.compile(r"\bframerate=\(fraction\)(\d+)/(\d+)")

Read = Callable[[int], bytearray]  # exactly so many bytes, or EOFError


class BadStream(ValueError):
    """What came is not this protocol, or not BGR frames."""


class Frames:
    """The frames of one pipe, in order."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._size: tuple[int, int] | None = None  # height, width
        self.fps = 0.0  # of the newest format; 0 where it tells none

    def next(self) -> Frame:
        """Wait for a frame. Raises EOFError at the end of the pipe, BadStream."""
        while True:
            kind, payload = self._packet()
            if kind == CAPS:
                caps = payload.rstrip(b"\0").decode("utf-8", "replace")
                self._size, self.fps = size_of(caps), fps_of(caps)
            elif kind == BUFFER and payload:
                return self._framed(payload)

    def _packet(self) -> tuple[int, bytearray]:
        header = self._read(HEADER_BYTES)
        major, _, _, kind, length = HEADER.unpack_from(header)
        if major != 1 or length > LONGEST:
            raise BadStream("the pipe holds something else than GStreamer's packets")
        return kind, self._read(length)

    def _framed(self, payload: bytearray) -> Frame:
        if self._size is None:
            raise BadStream("a frame came before its format")
        height, width = self._size
        stride, odd = divmod(len(payload), height)  # GStreamer pads rows to a multiple of 4 bytes
        if odd or not 3 * width <= stride < 3 * width + 64:
            raise BadStream(f"{len(payload)} bytes are no frame of {width}x{height}")
        rows = np.frombuffer(payload, np.uint8).reshape(height, stride)
        return np.ascontiguousarray(rows[:, : 3 * width]).reshape(height, width, 3)


def size_of(caps: str) -> tuple[int, int]:
    """Height and width of what a caps string describes. Raises BadStream when it is not BGR video."""
    if not caps.startswith("video/x-raw") or "format=(string)BGR," not in f"{caps.replace(';', ',')},":
        raise BadStream(f"the pipeline gives {caps.split(',', maxsplit=1)[0]}, not BGR video")
    height, width = (int(found[1]) if (found := side.search(caps)) else 0 for side in _SIZE)
    if not (0 < height <= 16384 and 0 < width <= 16384):
        raise BadStream("the pipeline does not say how large its frames are")
    return height, width


def fps_of(caps: str) -> float:
    """Frames per second of what a caps string describes; 0 where it tells none."""
    found = _RATE.search(caps)
    return int(found[1]) / int(found[2]) if found and int(found[2]) else 0.0
