"""The teacher: a finished engine and its head, asked about one picture at a time."""

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.run import open_run
from edgecam_engines.bundle import MANIFEST, open_bundle
from edgecam_engines.engine import Engine, Frame
from edgecam_engines.errors import DataError, EngineError, TrainingError
from edgecam_engines.geometry import fit_batch
from edgecam_engines.head import Head


class Look(NamedTuple):
    """What the teacher makes of a picture."""

    probability: float  # of the class it was asked about
    cam: NDArray[np.float32]  # (gh, gw) the map of that class


@dataclass(frozen=True)
class Teacher:
    """Knows the classes by name. Raises EngineError for answers that are not numbers."""

    engine: Engine
    head: Head

    def look(self, frame: Frame, label: int) -> Look:
        """Probability and map of the class `label`, an index into the head's classes."""
        features = self.engine.infer(fit_batch([frame], self.engine.input_hw))
        probability = float(self.head.probabilities(self.head.logits(features))[0, label])
        if not np.isfinite(probability):
            raise EngineError(
                f"The teacher on {self.engine.name} gave a value that is not a number.\n"
                f"Give the run folder itself, whose model is FP32: --teacher RUN"
            )
        return Look(probability, self.head.cam(features, [label])[0])

    def probability(self, frame: Frame, label: int) -> float:
        return self.look(frame, label).probability


@contextmanager
def open_teacher(path: Path, *, threads: int) -> Iterator[Teacher]:
    """A bundle or a run folder. Raises BundleError, TrainingError, EngineError."""
    engine, head = _opened(path, threads)
    with closing(engine):
        yield Teacher(engine, head)


def _opened(path: Path, threads: int) -> tuple[Engine, Head]:
    if (path / MANIFEST).is_file():
        bundle = open_bundle(path)
        return bundle.engine(threads=threads), bundle.head()
    if not (path / "model.onnx").is_file():
        what = "has neither manifest.json nor model.onnx in it" if path.is_dir() else "is not a folder"
        raise TrainingError(
            f"--teacher {path} {what}, so it is neither a bundle nor a finished run.\n"
            f"Train one on the same photos first:\n    edgecam train DATA --out run"
        )
    from edgecam_engines.onnxruntime import OnnxRuntimeEngine

    run = open_run(path)
    return OnnxRuntimeEngine(run.model, name="onnxruntime-fp32", threads=threads), run.head


def labels_of(classes: Sequence[str], known: Sequence[str], data: Path) -> dict[str, int]:
    """Each of our classes as an index into those the teacher knows. Raises DataError for one it does not."""
    place = {_spelt(name): k for k, name in enumerate(known)}
    if unknown := [name for name in classes if _spelt(name) not in place]:
        listed = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
        raise DataError(
            f"{data} has classes that the teacher does not know: {', '.join(unknown)}.\n"
            f"It knows: {listed}. Rename the folders, or train a teacher on these photos:\n"
            f"    edgecam train {data} --out run"
        )
    return {name: place[_spelt(name)] for name in classes}


def _spelt(name: str) -> str:
    """One spelling of accented letters: a Mac stores them as two characters in a folder's name."""
    return unicodedata.normalize("NFC", name)
