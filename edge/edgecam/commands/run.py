"""`edgecam run`: settings from the command line and a file, then the loop."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgecam import live, logs
from edgecam.config.kinds import kinds
from edgecam.config.merge import absolute, settings_of
from edgecam.config.write import as_toml
from edgecam.service.keeper import keeping
from edgecam.settings import RunSettings
from edgecam_engines.errors import SettingsError


def run(given: Mapping[str, Any], config: Path | None, *, print_config: bool) -> None:
    """Run with what was given on the command line over what the file says, or only write that as TOML.

    Raises SettingsError before anything is opened, and what `live.run` raises.
    """
    asked = typed(given)
    if print_config and config is None:
        asked = {"bundle": Path("NAME.edgecam"), **asked}  # a file to begin with needs no bundle yet
    settings = settings_of(asked, config)
    if print_config:
        sys.stdout.write(as_toml(absolute(settings, Path.cwd())))
        return
    logs.use(settings.log)
    if settings.teach is not None:
        _run_taught(settings, lambda: settings_of(asked, config))
        return
    with keeping(settings, lambda: settings_of(asked, config)) as keeper:
        live.run(settings, keeper=keeper)


def _run_taught(settings: RunSettings, read: Callable[[], RunSettings]) -> None:
    """The same, with a page that may teach; what is taught already answers from the start."""
    from edgecam.commands.teach_live import open_teaching

    teaching = open_teaching(settings)
    settings = teaching.choice.over(settings)
    with keeping(settings, lambda: teaching.choice.over(read()), teaching.choice) as keeper:
        live.run(settings, keeper=keeper, teaching=teaching)


def typed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options as a command line has them, as the types of RunSettings. Raises SettingsError."""
    return {name: _typed(name, value) for name, value in given.items()}


def _typed(name: str, value: Any) -> Any:
    kind = kinds()[name]
    if kind == tuple[str, ...]:
        return tuple(value)
    if kind == dict[str, str]:
        pairs = [text.rpartition("=") for text in value]
        if wrong := [last for first, _, last in pairs if not first]:
            raise SettingsError(
                f"--{name} {wrong[0]!r} says no class. Write it as CLASS=0.8 or CLASS=0.8/0.6."
            )
        return {label: levels for label, _, levels in pairs}
    return kind(value)  # the parser of options knows no paths
