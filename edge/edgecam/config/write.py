"""Writes settings as a commented TOML file that reads back as the same settings."""

from dataclasses import fields

from edgecam.config.about import ABOUT, key_of
from edgecam.config.forms import holds_password
from edgecam.config.kinds import write_value
from edgecam.settings import RunSettings


def as_toml(settings: RunSettings) -> str:
    """Every setting with its meaning; one that was not asked for is an example behind a #.

    Paths are written as they are: make them absolute first, since a file's start at its own folder.
    """
    lines = ["# Settings of `edgecam run --config FILE`. Options on the command line go before them."]
    if any(map(holds_password, settings.camera)):
        lines.append("# A camera's password stands in here: chmod 600.")
    panel = ""
    for field in fields(RunSettings):
        about, value = ABOUT[field.name], getattr(settings, field.name)
        if about.panel != panel:
            panel = about.panel
            lines += ["", f"# -- {panel}"]
        lines += ["", f"# {about.help}"]
        absent = value is None or value in ((), {})
        written = about.example if absent else write_value(value)
        lines.append(f"{'# ' if absent else ''}{key_of(field.name)} = {written}")
    return "\n".join(lines) + "\n"
