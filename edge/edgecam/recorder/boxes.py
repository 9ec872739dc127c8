"""How much of a fragmented MP4 is whole, read from its boxes and without a decoder.

A file is a row of boxes: length, four letters, content. `moov` describes the stream; after it each pair of
`moof` and `mdat` is one fragment that can be played. Source: ISO/IEC 14496-12, 4.2 and 8.8.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

LONGEST_MOOF: Final = 16 << 20


class Content(NamedTuple):
    """What can be played."""

    frames: int
    length: int  # bytes up to the end of the last whole fragment and what follows it


def content_of(path: Path) -> Content:
    """Raises OSError."""
    frames, length, described, promised = 0, 0, False, 0
    with path.open("rb") as file:
        size = file.seek(0, 2)
        for kind, body, end in _boxes(file, size):
            if kind == b"moov":
                described = True
            elif kind == b"moof":
                file.seek(body)
                promised = _samples(file.read(min(end - body, LONGEST_MOOF)))
                continue  # of use only together with its data
            elif kind == b"mdat":
                frames, promised = frames + promised, 0
            if described:
                length = end
    return Content(frames, length)


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of the content and end of every box that is whole."""
    start = 0
    while start + 8 <= size:
        file.seek(start)
        header = file.read(16)
        length, kind = struct.unpack(">I4s", header[:8])
        body = start + 8
        if length == 1 and len(header) == 16:
            length, body = struct.unpack(">Q", header[8:])[0], start + 16
        end = start + length
        if end < body or end > size:
            return
        yield kind, body, end
        start = end


def _samples(content: bytes) -> int:
    """Frames that a `moof` announces: the sample counts of its `trun` boxes."""
    total, at = 0, 0
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        if length < 8 or at + length > len(content):
            break
        if kind == b"traf":
            total += _samples(content[at + 8 : at + length])
        elif kind == b"trun" and length >= 16:
            total += struct.unpack_from(">I", content, at + 12)[0]
        at += length
    return total
