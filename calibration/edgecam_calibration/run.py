"""What a training run leaves for everybody else: one graph, one head, and which photos were which."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.evaluate import Labelled
from edgecam_engines.console import log
from edgecam_engines.errors import DataError, TrainingError
from edgecam_engines.files import read_limited
from edgecam_engines.head import Head, load_head
from edgecam_engines.npy import read_npy
from edgecam_engines.photo import is_photo

_SPLIT_LIMIT: Final = 512 << 20  # bytes; a million photos with long names have 200 million


@dataclass(frozen=True)
class Run:
    """A finished run folder."""

    path: Path
    model: Path  # FP32 features graph
    head: Head
    train: list[Labelled]
    val: list[Labelled]  # never trained on; the gate judges by them
    val_logits: NDArray[np.float32]  # (n, classes) of the trainer's network on `val`
    data: Path | None = None  # the folder that was trained on, where the run tells

    @property
    def test(self) -> list[Path]:
        """The photos that lie beside those it was trained on, to be tested by one day."""
        folder = self.data / "test" if self.data is not None else None
        if folder is None or not folder.is_dir():
            return []
        return sorted(path for path in folder.rglob("*") if is_photo(path) and path.is_file())


def open_run(path: Path) -> Run:
    """Open what `edgecam train` left. Raises TrainingError with what to type."""
    model, head = path / "model.onnx", path / "head.safetensors"
    try:
        split = json.loads(read_limited(path / "split.json", _SPLIT_LIMIT).decode())
        train, val = _listed(split["train"]), _listed(split["val"])
        data = Path(split["data"]) if "data" in split else None
        if not model.is_file():
            raise FileNotFoundError(f"there is no {model.name} in it")
        logits = read_npy(path / "val_logits.npy")
        if not train or not val:
            raise ValueError("it lists no photos to train on, or none to judge by")
        if logits.ndim != 2 or len(logits) != len(val):
            raise ValueError("its validation answers and photos differ in number")
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise TrainingError(
            f"{path} is not a finished training run: {error}.\n"
            f"Train one, or finish one that was stopped:\n"
            f"    edgecam train DATA --out {path}\n"
            f"    edgecam train DATA --out {path} --resume"
        ) from error
    opened = load_head(head)
    classes = len(opened.classes)
    if logits.shape[1] != classes or not all(0 <= photo.label < classes for photo in (*train, *val)):
        raise TrainingError(
            f"{path} does not belong together: its head has {classes} classes, and its answers or photos "
            f"speak of others.\nTrain again:\n    edgecam train DATA --out {path}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        return Run(path, model, opened, train, val, logits.astype(np.float32), data)


def still_there(photos: list[Labelled], what: str) -> list[Labelled]:
    """The photos whose files still exist. Raises DataError when most of them are gone."""
    found = [photo for photo in photos if photo.path.is_file()]
    if len(found) < len(photos) / 2 or not found:
        raise DataError(
            f"Of the run's {len(photos)} {what} photos only {len(found)} are where they were "
            f"(for example {photos[0].path}).\nPut the folder back, or train again."
        )
    if len(found) < len(photos):
        log.print(f"{len(photos) - len(found)} {what} photos are gone; going on with {len(found)}.")
    return found


def _listed(entries: list[dict[str, Any]]) -> list[Labelled]:
    if not isinstance(entries, list) or not all(type(entry["label"]) is int for entry in entries):
        raise ValueError("its split is not a list of photos with labels")
    return [Labelled(Path(entry["path"]), entry["label"]) for entry in entries]
