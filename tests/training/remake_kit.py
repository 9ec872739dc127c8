"""A folder of photos, and a run over it."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecam_training.recompose.make import make
from edgecam_training.recompose.order import Order, Tools
from edgecam_training.recompose.photos import find
from training.recompose_kit import (
    make_data,
    order,
    tools,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("photos") / "data")


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For tests that only read it: more photos than there are things, so each is used twice."""
    out = tmp_path_factory.mktemp("made") / "new"
    make(find(data, seed=0), order(6), tools(), out)
    return out


def run(data: Path, out: Path, wanted: Order | None = None, by: Tools | None = None) -> dict[str, Any]:
    return make(find(data, seed=0), wanted or order(), by or tools(), out)


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def decoded(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return np.asarray(picture, np.uint8)
