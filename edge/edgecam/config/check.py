"""The one place that says whether settings can be meant, for the command line and the file alike."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from edgecam.config.about import ABOUT, key_of, option_of
from edgecam.config.forms import (
    holds_password,
    is_address,
    is_alarm,
    is_broker,
    is_head_name,
    is_hysteresis,
    is_roi,
    is_smoothing,
)
from edgecam.settings import RunSettings
from edgecam.web.address import read_address
from edgecam_engines.backends import BACKENDS
from edgecam_engines.errors import SettingsError


class Complaint(NamedTuple):
    """What is wrong with one setting."""

    name: str  # of the field
    words: str  # after the place where it was said


def _at_least(least: float) -> Callable[[Any], bool]:
    return lambda value: least <= value < math.inf


def _above_0(value: float) -> bool:
    return 0 < value < math.inf


def _share(value: float) -> bool:
    return 0 <= value <= 1


# Of a list every item is asked about, of a table every value. What is not here may be anything of its type.
VALID: Final[dict[str, Callable[[Any], bool]]] = {
    "camera": lambda text: bool(text.strip()),
    "head": bool,
    "backend": lambda name: name in CHOICES["backend"],
    "threads": _at_least(1),
    "fps": _above_0,
    "every": _at_least(1),
    "roi": is_roi,
    "max_frames": _at_least(1),
    "threshold": _share,
    "thresholds": is_hysteresis,
    "smooth": is_smoothing,
    "event_after": _at_least(1),
    "event_end_s": _at_least(0),
    "ignore": bool,
    "alarm": is_alarm,
    "segment_s": _above_0,
    "pre_roll_s": _at_least(0),
    "record_quota_mb": _above_0,
    "serve": is_address,
    "teach": is_head_name,
    "mqtt": is_broker,
    "tray_quota_mb": _above_0,
    "log": lambda form: form in CHOICES["log"],
}
CHOICES: Final[dict[str, tuple[str, ...]]] = {"backend": tuple(BACKENDS), "log": ("text", "json")}
# What means nothing without something else.
NEEDS: Final[dict[str, str]] = {
    "events": "json",
    "record_events": "record",
    "token_file": "serve",
    "teach": "serve",
    "mqtt_password_file": "mqtt",
    "mqtt_ca": "mqtt",
}


def check(settings: RunSettings, said: Mapping[str, str] | None = None) -> None:
    """Refuse settings that cannot be meant; `said` tells where each came from. Raises SettingsError."""
    complain([*_values(settings), *_together(settings)], said or {})


def complain(found: list[Complaint], said: Mapping[str, str]) -> None:
    """Raise all complaints as one error, each with its place. Raises SettingsError unless there are none."""
    if found:
        lines = [f"{said.get(name, option_of(name))}: {words}" for name, words in found]
        raise SettingsError("\n".join([*lines, "What there is: edgecam run --help"]))


def refused(name: str, value: object) -> Complaint:
    """The complaint about a value that is not allowed."""
    about, allowed = ABOUT[name], CHOICES.get(name, ())
    must = f"one of {', '.join(allowed)}" if allowed else about.allowed
    near = meant(str(value), allowed)
    shown = "a password in a URI" if holds_password(str(value)) else repr(value)
    return Complaint(
        name, f"{shown} is not allowed.{near} It must be {must}, as in {key_of(name)} = {about.example}."
    )


def meant(word: str, known: Iterable[str]) -> str:
    """' Did you mean ...?', or nothing where no name is near."""
    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _values(settings: RunSettings) -> Iterator[Complaint]:
    for name, valid in VALID.items():
        value = getattr(settings, name)
        if isinstance(value, dict):
            yield from (refused(name, f"{k}={v}") for k, v in value.items() if not (k and valid(v)))
        elif isinstance(value, tuple):
            yield from (refused(name, item) for item in value if not valid(item))
        elif value is not None and not valid(value):
            yield refused(name, value)


def _together(settings: RunSettings) -> Iterator[Complaint]:
    default = {field.name: field.default for field in fields(RunSettings)}
    for name, needed in NEEDS.items():
        if getattr(settings, name) != default[name] and not getattr(settings, needed):
            yield Complaint(name, f"it means nothing without {key_of(needed)}. Add that, or leave this out.")
    if len(set(settings.camera)) < len(settings.camera) or not settings.camera:
        yield Complaint("camera", "name at least one camera, and each only once.")
    if settings.record_events and settings.record and settings.record.suffix.lower() == ".mp4":
        yield Complaint("record_events", f"{settings.record} is one file. Name a folder as record.")
    if settings.serve and is_address(settings.serve) and not read_address(settings.serve).here:
        yield from _open_to_all(settings)
    if settings.mqtt_ca and (settings.mqtt or "").startswith("mqtt://"):
        yield Complaint("mqtt_ca", "mqtt:// uses no certificates. Write mqtts:// in mqtt.")


def _open_to_all(settings: RunSettings) -> Iterator[Complaint]:
    if settings.token_file is None:
        yield Complaint(
            "serve",
            f"others can reach {settings.serve}, so it needs a token. Keep one in a file and name that:\n"
            f"    openssl rand -hex 32 > token && chmod 600 token    # then: --token-file token",
        )
