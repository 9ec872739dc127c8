"""Options of a source: one frozen dataclass a kind, whose fields say how their text is read."""

from collections.abc import Callable, Mapping
from dataclasses import field, fields
from typing import Any, Final, TypeVar

from edgecam.sources.uri import nearest
from edgecam_engines.errors import SourceError

T = TypeVar("T")
_YES: Final = {"1": True, "true": True, "yes": True, "on": True}
_NO: Final = {"0": False, "false": False, "no": False, "off": False}


def option(read: Callable[[str], T], default: T | None = None) -> Any:
    """A field: `read` turns its text into a value, or raises ValueError with what it should be."""
    return field(default=default, metadata={"read": read})


def read_options(kind: type[T], given: Mapping[str, str], name: str) -> T:
    """The options of one source. `name` stands in errors. Raises SourceError for any that is not known."""
    readers = {each.name: each.metadata["read"] for each in fields(kind)}  # type: ignore[arg-type]
    values = {}
    for key, text in given.items():
        if key not in readers:
            raise SourceError(
                f"{name} has no option {key!r}.{nearest(key, list(readers))}\n"
                f"It takes: {', '.join(readers) or 'none'}."
            )
        try:
            values[key] = readers[key](text)
        except ValueError as wrong:
            raise SourceError(f"{name}: {key} is {wrong}, not {text!r}.") from None
    return kind(**values)


def whole(low: int, high: int) -> Callable[[str], int]:
    """Reads a whole number, both ends included."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and low <= int(text[:9]) <= high and len(text) < 10):
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return read


def real(low: float, high: float) -> Callable[[str], float]:
    """Reads a number, both ends included."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return value

    return read


def one_of(*words: str) -> Callable[[str], str]:
    """Reads one of a few words, capitals or not."""

    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return text.lower()

    return read


def yes(text: str) -> bool:
    """Reads 1 or 0, and what else people write for them."""
    known = _YES | _NO
    if text.lower() not in known:
        raise ValueError("1 or 0")
    return known[text.lower()]
