"""JPEGs from a camera: decoded if they are whole, refused if a damage can be told.

Decoders make a picture of almost anything: what is missing becomes grey, what is wrong becomes stripes, and
nothing is returned that would say so. A damaged photo is therefore told in three ways: by its frame (begin,
end, segments that fit), by its restart markers' order, and by libjpeg's own complaint, which it prints.
What is left can be seen by no decoder: a change that leaves the right number of blocks and no wrong code.
"""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import cv2
import numpy as np

from edgecam_engines.engine import Frame

BEGIN: Final = b"\xff\xd8"
END: Final = b"\xff\xd9"
STDERR: Final = 2
MOST_PIXELS: Final = 1 << 26  # twice 8K; a few bytes may claim more, and the decoder would believe them
_SCAN: Final = 0xDA
_SIZES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # segments that tell height and width
_MARKERS: Final = re.compile(rb"\xff[^\x00\xff]")
_COMPLAINT: Final = re.compile(
    rb"(?m)^[^\n]*(?:Corrupt JPEG data|Premature end of JPEG|Inconsistent progression|Invalid SOS)[^\n]*\n?"
)
_LISTENING: Final = threading.Lock()  # standard error belongs to the whole process


class DamagedJpeg(ValueError):
    """What is wrong with it, in a few words."""


def decode(data: bytes, *, strict: bool = True) -> Frame:
    """The photo, (h, w, 3) BGR. Raises DamagedJpeg; without `strict` only if there is no picture at all."""
    if strict:
        data = check(data)
    buffer = np.frombuffer(data, np.uint8)
    if not strict:
        return _picture(cv2.imdecode(buffer, cv2.IMREAD_COLOR))
    with _complaints() as heard:
        frame = cv2.imdecode(buffer, cv2.IMREAD_COLOR)
    if heard:
        raise DamagedJpeg(heard[0])
    return _picture(frame)


def check(data: bytes) -> bytes:
    """The photo without what cameras put around it. Raises DamagedJpeg when its frame is broken."""
    begin, end = data.find(BEGIN), data.rfind(END)
    if begin < 0 or end < begin:
        raise DamagedJpeg("it has no begin or no end")
    data = data[begin : end + len(END)]
    at, height, width = _segments(data)
    if not 0 < height * width <= MOST_PIXELS:
        raise DamagedJpeg("it does not say how large it is")
    _markers_in_order(data, at)
    return data


def _segments(data: bytes) -> tuple[int, int, int]:
    """Where the first scan begins, and the height and width that stand before it."""
    at, height, width = len(BEGIN), 0, 0
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            break
        if data[at + 1] == 0xFF:  # padding
            at += 1
            continue
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if kind in _SIZES:
            height = int.from_bytes(data[at + 5 : at + 7], "big")
            width = int.from_bytes(data[at + 7 : at + 9], "big")
        at += 2 + length
        if kind == _SCAN and at <= len(data):
            return at, height, width
    raise DamagedJpeg("its segments do not fit together")


def _markers_in_order(data: bytes, at: int) -> None:
    """A scan holds only restart markers, counting 0 to 7 over and over; then comes another segment."""
    expected = 0
    for found in _MARKERS.finditer(data, at):
        kind = data[found.start() + 1]
        if not 0xD0 <= kind <= 0xD7:
            if kind == BEGIN[1]:
                raise DamagedJpeg("another photo begins inside it")
            return  # the end, or a progressive photo's next scan, which libjpeg reads and complains about
        if kind - 0xD0 != expected:
            raise DamagedJpeg("a part of it is missing")
        expected = (expected + 1) % 8


def _picture(decoded: object) -> Frame:
    if not isinstance(decoded, np.ndarray):
        raise DamagedJpeg("it cannot be decoded")
    return decoded


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What libjpeg prints in the meantime. It has no other way to be heard: OpenCV throws its answer away.

    Whatever else comes on standard error from another thread meanwhile is passed on afterwards.
    """
    heard: list[str] = []
    with _LISTENING:
        kept, caught = os.dup(STDERR), os.memfd_create("stderr")
        try:
            os.dup2(caught, STDERR)
            try:
                yield heard
            finally:
                os.dup2(kept, STDERR)
                printed = os.pread(caught, os.fstat(caught).st_size, 0)
                heard += [words.decode("ascii", "replace").strip() for words in _COMPLAINT.findall(printed)]
                if others := _COMPLAINT.sub(b"", printed):
                    os.write(STDERR, others)
        finally:
            os.close(kept)
            os.close(caught)
