"""Reads a settings file. All that is wrong with it is told at once, each with its line."""

import stat
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

from edgecam.config.about import ABOUT, key_of
from edgecam.config.check import meant
from edgecam.config.forms import holds_password
from edgecam.config.kinds import WrongType, line_of, read_value
from edgecam_engines.errors import SettingsError
from edgecam_engines.files import read_limited

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LIMIT: Final = 1 << 20  # bytes
# What never stands in the file, and what to use instead.
SECRETS: Final[dict[str, str]] = {
    "token": "token-file",
    "password": "mqtt-password-file",
    "mqtt-password": "mqtt-password-file",
    "secret": "token-file or mqtt-password-file",
}


class FromFile(NamedTuple):
    """What a settings file said."""

    values: dict[str, Any]  # by field
    said: dict[str, str]  # where: "edgecam.toml, line 4 (fps)"


def read_settings(path: Path) -> FromFile:
    """Read a settings file; its relative paths start at its folder. Raises SettingsError."""
    text = _text(path)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}.\n{_HELP}") from error
    values: dict[str, Any] = {}
    said: dict[str, str] = {}
    wrong = []
    for key, value in document.items():
        name = key.replace("-", "_")
        place = _place(path, key, text)
        if name in values:
            wrong.append(f"{place}: it stands there twice, as {key_of(name)} and as {name}.")
        elif name not in ABOUT:
            wrong.append(f"{place}: {_unknown(key)}")
        else:
            try:
                values[name], said[name] = read_value(name, value, path.absolute().parent), place
            except WrongType as error:
                wrong.append(f"{place}: it must be {error}, as in {key_of(name)} = {ABOUT[name].example}.")
    wrong += _bare_passwords(path, values, said)
    if wrong:
        raise SettingsError("\n".join([*wrong, _HELP]))
    return FromFile(values, said)


def _text(path: Path) -> str:
    try:
        return read_limited(path, _LIMIT).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(
            f"The settings file {path} cannot be read: {why}.\nTo begin one:\n"
            f"    edgecam run --bundle NAME.edgecam --print-config > {path.name}"
        ) from error


def _place(path: Path, key: str, text: str) -> str:
    line = line_of(key, text)
    return f"{path.name}, line {line} ({key})" if line else f"{path.name} ({key})"


def _unknown(key: str) -> str:
    if instead := SECRETS.get(key_of(key)):
        return f"a secret does not belong in this file. Keep it in one of its own and name that: {instead}."
    return f"there is no such setting.{meant(key_of(key), map(key_of, ABOUT))}"


def _bare_passwords(path: Path, values: dict[str, Any], said: dict[str, str]) -> list[str]:
    """Cameras know no other place for a password than their URI, so others must not read the file then."""
    if not any(map(holds_password, values.get("camera", ()))) or not path.stat().st_mode & stat.S_IROTH:
        return []
    return [f"{said['camera']}: it holds a password, and everybody can read the file: chmod o-r {path}"]


_HELP: Final = "What there is: edgecam run --help; as a file: edgecam run --print-config"
