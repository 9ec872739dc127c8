"""The types of settings: how each is read from TOML, and how it is written."""

import json
import os
import re
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Final, get_args, get_type_hints

from edgecam.config.forms import holds_scheme
from edgecam.settings import RunSettings

WORDS: Final[dict[Any, str]] = {
    Path: "a path, in quotes",
    str: "a text, in quotes",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    tuple[str, ...]: "a text, or a list of texts",
    dict[str, str]: "a table of texts",
}


class WrongType(Exception):
    """A value of another type than its setting has; says which it should be."""


@cache
def kinds() -> dict[str, Any]:
    """The type of every setting, without its None."""
    hints = get_type_hints(RunSettings)
    return {name: next((k for k in get_args(h) if NoneType in get_args(h) and k is not NoneType), h)
            for name, h in hints.items()}  # fmt: skip


def read_value(name: str, value: object, folder: Path) -> Any:
    """What a TOML value says about a setting; paths that are relative start at `folder`. Raises WrongType."""
    kind = kinds()[name]
    if kind == tuple[str, ...]:
        items = value if isinstance(value, list) else [value]
        # A camera may be a number, and `camera = 0` is what people write.
        texts = [str(item) if type(item) is int else item for item in items]
        if all(isinstance(text, str) for text in texts):
            return tuple(placed(str(text), folder) if name == "camera" else text for text in texts)
    elif kind == dict[str, str] and isinstance(value, dict):
        return _table(name, value)
    elif kind is Path and isinstance(value, str) and value:
        return folder / value
    elif kind is float and type(value) in {int, float}:
        return float(value)  # type: ignore[arg-type]
    elif type(value) is kind:  # not isinstance: True is an int
        return value
    raise WrongType(WORDS[kind])


def _table(name: str, value: dict[str, Any]) -> dict[str, str]:
    texts = {key: repr(item) if type(item) in {int, float} else item for key, item in value.items()}
    for key, text in texts.items():
        if isinstance(text, str):
            continue
        words = WORDS[dict[str, str]]
        raise WrongType(f"{words}, and {key} is none; what stands under [{name}] belongs to it")
    return texts


def placed(uri: str, folder: Path) -> str:
    """A camera that is a file or folder, found from `folder`; every other as it is."""
    if not uri or uri.isdecimal() or holds_scheme(uri):
        return uri
    return os.path.join(folder, uri)  # noqa: PTH118 - a Path would change URIs: it drops what looks double


def write_value(value: object) -> str:
    """TOML for a value of any of the types."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(write_text, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{write_text(k)} = {write_text(v)}' for k, v in value.items())} }}"
    return write_text(str(value))


def write_text(text: str) -> str:
    """A basic string of TOML: JSON's, but that it also escapes DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def line_of(key: str, text: str) -> int | None:
    """The line, from 1, at which a key or table of TOML stands; None where it is written in another way."""
    words = re.escape(key)
    found = re.search(rf"""^[ \t]*(?:\[\[?[ \t]*)?(["']?){words}\1[ \t]*(?:=|\]|\.)""", text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else None
