"""A bundle that runs, and what may become of it meanwhile."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.loop_kit import CLASSES, make_bundle
from edgecam.service.reload import Running
from edgecam.settings import RunSettings
from edgecam_engines.bundle import open_bundle
from edgecam_engines.head import Head

WAIT_S = 60.0


def other_head() -> Head:
    """Names the weakest colour: every answer is another one."""
    return Head(-np.eye(3, dtype=np.float32) * 60, np.zeros(3, np.float32), CLASSES)


def built_anew(bundle: Path, **other: Any) -> None:
    """Another bundle in the place of this one, swapped in as `build-engine` does."""
    made = make_bundle(bundle.with_name("made"), **other)
    bundle.rename(bundle.with_name("old"))
    made.rename(bundle)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "line.edgecam")


def running(bundle: Path, **options: Any) -> Running:
    settings = RunSettings(bundle, **options)
    opened = open_bundle(bundle)
    return Running(settings, opened, opened.head(settings.head))
