"""Photos of what a bundle knew before it was taught: its golden ones, and those taught under an old name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgecam_engines.bundle import Bundle
from edgecam_engines.engine import Engine
from edgecam_engines.files import write_atomically
from edgecam_engines.golden import ANSWERS, load_golden
from edgecam_engines.taught.versions import FOLDER
from edgecam_training.fewshot.beside import Base
from edgecam_training.fewshot.example import Example
from edgecam_training.fewshot.extract import features_of

_FILE: Final = "golden.safetensors"


def golden_features(bundle: Bundle, engine: Callable[[], Engine], key: str) -> NDArray[np.float32]:
    """Pooled features (m, d) of the golden photos, kept beside what is taught; m may be 0."""
    if ANSWERS not in bundle.manifest.files:
        return np.zeros((0, bundle.manifest.feature_dhw[0]), np.float32)
    about = {"engine": key, "golden": bundle.manifest.files[ANSWERS]["sha256"]}
    file = bundle.path / FOLDER / _FILE
    kept = _read(file, about)
    if kept is None:
        golden = load_golden(bundle.path, bundle.input_hw)
        kept = np.concatenate([features_of(engine(), [frame]).mean(axis=(2, 3)) for frame in golden.frames])
        _write(file, kept, about)
    return kept


def base_of(bundle: Bundle, golden: NDArray[np.float32], taught: list[Example]) -> Base:
    """The bundle's own head, its golden photos named as it names them, and `taught` as they are labelled.

    `taught` are examples whose labels are classes of that head.
    """
    head = bundle.head()
    called = (golden @ head.weight.T + head.bias).argmax(axis=1)
    pooled = np.concatenate([golden, *(each.pooled[None] for each in taught)])
    labels = [*called.tolist(), *(head.classes.index(each.label) for each in taught)]
    return Base(head, pooled.astype(np.float64), np.asarray(labels, np.int64))


def _write(file: Path, pooled: NDArray[np.float32], about: dict[str, str]) -> None:
    from safetensors.numpy import save

    tensors = {"pooled": np.ascontiguousarray(pooled, np.float32)}
    write_atomically(file, save(tensors, metadata={"about": json.dumps(about)}))


def _read(file: Path, about: dict[str, str]) -> NDArray[np.float32] | None:
    """What was kept, if it is of these photos by this engine. It is computed again otherwise."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            if json.loads((opened.metadata() or {})["about"]) != about:
                return None
            return np.asarray(opened.get_tensor("pooled"), np.float32)
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
