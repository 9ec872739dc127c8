"""Small files of the kernel: absent, empty or refused ones are None, never an error."""

from pathlib import Path


def text(path: Path) -> str | None:
    """A file's text without blanks or NUL around it; None when it cannot be read or is empty."""
    try:
        return path.read_text(errors="replace").strip("\0 \t\n") or None
    except OSError:
        return None


def number(path: Path) -> int | None:
    """A file's whole number; None when there is none in it."""
    found = text(path)
    try:
        return None if found is None else int(found)
    except ValueError:
        return None
