"""What is said on stderr: words for people, with journald's priorities under systemd, or JSON lines.

`use` puts a stream in the place of sys.stderr, so that everything Python says there takes the same form:
our own messages, warnings, rich's lines, and what a thread dies of.
"""

import io
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Final, Literal, TextIO

Level = Literal["info", "warning", "error"]
Fields = Mapping[str, str | int | float | bool | None]
Form = Callable[[str, Level, Fields], str]  # message, level, fields -> what is written, newline included
PRIORITIES: Final[dict[Level, int]] = {"error": 3, "warning": 4, "info": 6}  # as in sd-daemon(3)


def say(words: str, level: Level = "info", fields: Fields | None = None) -> None:
    """A message on stderr. Fields are for JSON lines; whoever reads words finds them in the words.

    A stderr that is gone or full is no reason to end a camera's loop.
    """
    with suppress(OSError):
        if isinstance(sys.stderr, Messages):
            sys.stderr.message(words, level, fields or {})
        else:
            print(words, file=sys.stderr, flush=True)


def use(log: str) -> None:
    """From now on stderr holds JSON lines ("json"), or words that journald can rank where it listens."""
    stream = sys.stderr.beneath if isinstance(sys.stderr, Messages) else sys.stderr
    if log == "json":
        sys.stderr = Messages(stream, as_json_line)
    elif goes_to_journal(stream):
        sys.stderr = Messages(stream, as_journal_lines)
    else:
        sys.stderr = stream


def goes_to_journal(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether journald reads the stream: systemd names the device and inode of what it connected."""
    try:
        about = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{about.st_dev}:{about.st_ino}"


def as_json_line(words: str, level: Level, fields: Fields) -> str:
    """One line with time, level and message first."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record = {"time": now, "level": level, "message": words, **fields}
    return json.dumps(record, ensure_ascii=False, default=str) + "\n"


def as_journal_lines(words: str, level: Level, fields: Fields) -> str:
    """Words with a priority before each line, since each becomes an entry of its own."""
    return "".join(f"<{PRIORITIES[level]}>{line}\n" for line in words.splitlines() if line)


class Messages(io.TextIOBase):
    """A stream in the place of stderr: whatever is written to it becomes messages.

    A message ends with a write that ends its line, so one print of several lines is one message.
    """

    def __init__(self, beneath: TextIO, form: Form) -> None:
        self.beneath = beneath
        self._form = form
        self._open: dict[int, str] = {}  # by thread: written, and not yet a message

    def message(self, words: str, level: Level, fields: Fields) -> None:
        """Write one message at once."""
        self.beneath.write(self._form(words, level, fields))
        self.beneath.flush()

    def write(self, text: str) -> int:
        thread = threading.get_ident()
        words = self._open.pop(thread, "") + text
        if not words.endswith("\n"):
            self._open[thread] = words
        elif words := words.rstrip("\n"):
            self.message(words, "info", {})
        return len(text)

    def flush(self) -> None:
        if not self.beneath.closed:
            self.beneath.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.beneath.fileno()

    def isatty(self) -> bool:
        return False  # no bars and no colours in a log

    @property
    def encoding(self) -> str:  # type: ignore[override]  # rich asks what it may draw with
        return self.beneath.encoding
