"""The photos of a multipart stream, as cameras really write it.

The boundary may stand in the header with or without its dashes or quotes, or be another one in truth; the
length may be there, missing or wrong; lines end in CRLF or LF. So the boundary is the first line that looks
like one, a length is believed only if a JPEG ends there, and everything has an upper limit. A photo is given
as soon as it is here: many cameras write the next boundary only with the next photo.
"""

import re
from collections.abc import Callable
from typing import Final

from edgecam.sources.jpeg import BEGIN, END

LONGEST_PART: Final = 32 << 20  # bytes; a 4K photo takes 5 MB
MOST_HEADERS: Final = 64
CHUNK: Final = 1 << 16

Receive = Callable[[int], bytes]  # what has come, at most so many bytes; b"" at the end


class BadMultipart(ValueError):
    """What came is no multipart stream, or one beyond all limits."""


class Parts:
    """One stream's parts, in order."""

    def __init__(self, receive: Receive, longest: int = LONGEST_PART) -> None:
        self._receive, self._longest = receive, longest
        self._buffer = bytearray()
        self._boundary = b""  # without dashes; learned from the first one
        self._mark = re.compile(b"")

    def next(self) -> bytes:
        """The next part's body, perhaps with a line end. Raises EOFError at the end, BadMultipart."""
        self._skip_to_boundary()
        length = self._length_in_headers()
        end = self._end_of_body(length)
        body = bytes(self._buffer[:end])
        del self._buffer[:end]
        return body

    def _skip_to_boundary(self) -> None:
        skipped = 0
        while skipped <= self._longest:
            line = self._line()
            if self._is_boundary(line.strip()):
                return
            skipped += len(line) + 1
        raise BadMultipart("no boundary comes")

    def _is_boundary(self, line: bytes) -> bool:
        word = line.lstrip(b"-")
        if self._boundary:
            return line.startswith(b"--") and word in (self._boundary, self._boundary + b"--")
        if not line.startswith(b"--") or not word:
            return False
        self._boundary = word
        self._mark = re.compile(b"--" + re.escape(word) + rb"(--)?[ \t]*\r?\n")
        return True

    def _length_in_headers(self) -> int | None:
        length = None
        for _ in range(MOST_HEADERS):
            line = self._line().strip()
            if not line:
                return length
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length" and value.strip().isdigit():
                length = int(value.strip()[:12])
        raise BadMultipart("a part has too many headers")

    def _end_of_body(self, length: int | None) -> int:
        searched = 0
        while True:
            if length is not None and self._photo_ends_at(length):
                return length
            if found := self._mark.search(self._buffer, searched):
                return found.start()
            if length is None and self._photo_ends_at(len(self._buffer)):
                return len(self._buffer)
            if len(self._buffer) > self._longest:
                raise BadMultipart(f"a part is longer than {self._longest} bytes")
            searched = max(0, len(self._buffer) - len(self._boundary) - 8)
            self._more()

    def _photo_ends_at(self, length: int) -> bool:
        """Whether a whole JPEG and perhaps a line end stand in so many bytes."""
        if length > len(self._buffer) or not self._buffer.startswith(BEGIN):
            return False
        return self._buffer[max(0, length - 4) : length].rstrip(b"\r\n").endswith(END)

    def _line(self) -> bytes:
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > self._longest:
                raise BadMultipart("a line never ends")
            self._more()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _more(self) -> None:
        chunk = self._receive(CHUNK)
        if not chunk:
            raise EOFError
        self._buffer += chunk
