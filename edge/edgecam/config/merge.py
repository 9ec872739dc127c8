"""Settings of a run: the file's, then what the command line says, then checked."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from edgecam.config.about import key_of, option_of
from edgecam.config.check import check
from edgecam.config.kinds import kinds, placed
from edgecam.config.read import FromFile, read_settings
from edgecam.settings import RunSettings
from edgecam_engines.errors import SettingsError


def settings_of(given: Mapping[str, Any], file: Path | None) -> RunSettings:
    """What the file says, with what was given on the command line over it. Raises SettingsError."""
    found = FromFile({}, {}) if file is None else read_settings(file)
    said = {**found.said, **{name: option_of(name) for name in given}}
    values = {**found.values, **given}
    if "bundle" not in values:
        raise SettingsError(
            "Which bundle? Name it with --bundle NAME.edgecam, or in the file of --config:\n"
            '    bundle = "NAME.edgecam"'
        )
    settings = RunSettings(**values)
    check(settings, said)
    return settings


def absolute(settings: RunSettings, folder: Path) -> RunSettings:
    """The same settings from any working directory: relative paths start at `folder`."""
    paths = {
        name: folder / getattr(settings, name)
        for name, kind in kinds().items()
        if kind is Path and getattr(settings, name) is not None
    }
    return replace(settings, **paths, camera=tuple(placed(uri, folder) for uri in settings.camera))


def differing(old: RunSettings, new: RunSettings) -> list[str]:
    """Fields that differ, in the order of RunSettings."""
    return [f.name for f in fields(RunSettings) if getattr(old, f.name) != getattr(new, f.name)]


def keys(names: list[str]) -> str:
    """Fields as people write them: 'fps, max-frames'."""
    return ", ".join(map(key_of, names))
