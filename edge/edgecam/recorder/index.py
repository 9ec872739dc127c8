"""Where each event is recorded: JSON lines beside the segments."""

import json
import os
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from edgecam_engines.errors import OutputError
from edgecam_engines.files import write_atomically

NAME: Final = "events.jsonl"
LARGE: Final = 1 << 20  # bytes at which lines about deleted segments are thrown out
PENDING: Final = 1000  # lines that wait for a full disk at most


class EventIndex:
    """Appends a line a phase. What cannot be written now is written with the next line."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._pending: deque[str] = deque(maxlen=PENDING)
        self._large = LARGE

    def add(self, document: dict[str, Any], files: Callable[[], Iterable[str]]) -> None:
        """Add one line. `files` gives the names of the segments that there are. Never raises OSError."""
        self._pending.append(json.dumps(document, ensure_ascii=False, allow_nan=False))
        try:
            self._append()
            if self._path.stat().st_size > self._large:
                self._forget(set(files()))
        except (OSError, OutputError):
            return

    def _append(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self._path, flags, 0o644)
        with os.fdopen(handle, "r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"  # by a kill in the middle of a line
            text = "\n" * torn + "".join(line + "\n" for line in self._pending)
            content = text.encode("utf-8", "replace")
            if file.write(content) != len(content):
                file.truncate(size)
                raise OSError("the disk is full")
        self._pending.clear()

    def _forget(self, files: set[str]) -> None:
        kept = [line for line in self._path.read_text("utf-8", "replace").splitlines() if _about(line, files)]
        write_atomically(self._path, "".join(line + "\n" for line in kept))
        self._large = max(LARGE, 2 * self._path.stat().st_size)


def _about(line: str, files: set[str]) -> bool:
    try:
        return json.loads(line)["file"] in files
    except (ValueError, KeyError, TypeError):
        return False
