"""Settings files, and what is said of wrong ones."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from edgecam.config.merge import settings_of
from edgecam.settings import RunSettings
from edgecam_engines.errors import SettingsError

FIELDS = {field.name: field for field in dataclasses.fields(RunSettings)}
BUNDLE = 'bundle = "line.edgecam"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "edgecam.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str, **given: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        settings_of(given, written(folder, text))
    return str(caught.value)
