"""One engine over many photos: what the gate, `edgecam eval`, the demo and the benchmarks all call."""

import difflib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.classification.scores import ClassificationReport, classification_report
from edgecam_engines.console import log, track
from edgecam_engines.engine import Engine, Frame
from edgecam_engines.errors import DataError, EngineError
from edgecam_engines.geometry import fit, fit_batch
from edgecam_engines.head import Head
from edgecam_engines.photo import BadPhoto, is_photo, read_photo

_UNPAIRED: Final = "There must be one map class for each frame; their numbers differ."


class Labelled(NamedTuple):
    """One photo and what it shows."""

    path: Path
    label: int  # index into the classes


class Outputs(NamedTuple):
    """What an engine answered. Nothing of the size of a frame or of a feature map is kept."""

    logits: NDArray[np.float32]  # (n, classes)
    map_class: NDArray[np.int64]  # (n,) the class that each map belongs to
    maps: NDArray[np.float32]  # (n, gh, gw) one class activation map a picture


class Evaluation(NamedTuple):
    """The scores of one engine on labelled photos."""

    report: ClassificationReport
    unreadable: list[BadPhoto]  # left out of the scores


@dataclass
class PhotoFrames:
    """Photos as frames fitted to an input, read one at a time; what could not be read is left out.

    Iterating fills `labels` (one for each frame given) and `unreadable`, and names each bad file on stderr.
    """

    photos: Sequence[Labelled]
    input_hw: tuple[int, int]
    what: str = "Reading photos"  # for the bar
    labels: list[int] = field(default_factory=list)
    unreadable: list[BadPhoto] = field(default_factory=list)

    def __iter__(self) -> Iterator[Frame]:
        self.labels.clear()
        self.unreadable.clear()
        for path, label in track(self.photos, self.what):
            try:
                frame = fit(read_photo(path), self.input_hw)
            except BadPhoto as bad:
                self.unreadable.append(bad)
                log.print(f"Left out {bad.path}: {bad.reason}", markup=False)
                continue
            self.labels.append(label)
            yield frame


def run_engine(
    engine: Engine,
    head: Head,
    frames: Iterable[Frame],
    *,
    batch: int = 8,
    map_class: NDArray[np.int64] | Sequence[int] | None = None,
) -> Outputs:
    """Answers to frames of any size, (H, W, 3) each, `batch` at a time.

    The map kept for a frame is that of `map_class` (n,), or of the class this engine ranks first: run
    the reference without it, then give its `map_class` to every engine compared with it. A list may grow
    while frames are read, as `PhotoFrames.labels` does.
    Raises EngineError when the engine gives values that are not numbers, ValueError when `map_class`
    and frames differ in number.
    """
    logits, maps, shown = [], [], []
    done = 0
    for chunk in _chunks(frames, batch):
        features = engine.infer(fit_batch(chunk, engine.input_hw))
        with np.errstate(over="ignore", invalid="ignore"):  # the next line tells it better
            answer = head.logits(features)
        logits.append(_finite(answer, engine.name, done))
        wanted = logits[-1].argmax(axis=1) if map_class is None else map_class[done : done + len(chunk)]
        if len(wanted) != len(chunk):
            raise ValueError(_UNPAIRED)
        maps.append(head.cam(features, wanted))
        shown.append(np.asarray(wanted, np.int64))
        done += len(chunk)
    if map_class is not None and done != len(map_class):
        raise ValueError(_UNPAIRED)
    if not done:
        raise DataError("There is no photo to run the engine on. Give it a folder with readable photos.")
    return Outputs(np.concatenate(logits), np.concatenate(shown), np.concatenate(maps))


def evaluate_photos(engine: Engine, head: Head, photos: Sequence[Labelled], *, batch: int = 8) -> Evaluation:
    """Score an engine and its head on labelled photos; unreadable ones are named, counted and left out."""
    frames = PhotoFrames(photos, engine.input_hw, f"Evaluating {engine.name}")
    outputs = run_engine(engine, head, frames, batch=batch)
    probabilities = head.probabilities(outputs.logits)
    report = classification_report(np.asarray(frames.labels, np.int64), probabilities, head.classes)
    return Evaluation(report, frames.unreadable)


def document(report: ClassificationReport, engine: str) -> dict[str, Any]:
    """What `edgecam eval --json` prints; scripts rely on its keys."""
    return {
        "n": report.n,
        "top1": report.top1,
        "top1_ci95": report.top1_ci95,
        "macro_f1": report.macro_f1,
        "ece": report.ece,
        "per_class": [asdict(score) for score in report.per_class],
        "engine": engine,
        "localization": None,  # where no boxes or masks are known
    }


def labelled_root(folder: Path, classes: Sequence[str]) -> Path:
    """The folder whose subfolders are the classes: DATA itself, else DATA/test, else DATA/val.

    DATA/train is never taken unasked. Raises DataError when it is all there is, or nothing is.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not a folder.\nGive a folder that holds one folder of photos for each class: "
            f"DATA/{classes[0]}/*.jpg"
        )
    names = {path.name for path in folder.iterdir() if path.is_dir()}
    if not {_spelt(name) for name in names}.isdisjoint(map(_spelt, classes)):
        return folder
    split = next((split for split in ("test", "val") if split in names), "")
    if not split and "train" in names:
        raise DataError(
            f"{folder} has photos to train on, but neither {folder.name}/test nor {folder.name}/val to be "
            f"judged by.\nScores on photos that were learned from say nothing. To see them all the same, "
            f"give the folder itself:\n    edgecam eval BUNDLE {folder / 'train'}"
        )
    return folder / split


def load_labelled(folder: Path, classes: Sequence[str]) -> list[Labelled]:
    """Every photo of an ImageFolder (DATA/CLASS/*, nested or not) with its label, in a fixed order.

    See `labelled_root` for which folder is taken. Hidden folders and folders without photos are passed
    over. Raises DataError: no such folder, no photos, a class that is not among `classes`.
    """
    root = labelled_root(folder, classes)
    index = {_spelt(name): k for k, name in enumerate(classes)}
    found: list[Labelled] = []
    for place in sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != "."):
        photos = sorted(path for path in place.rglob("*") if is_photo(path) and path.is_file())
        if photos and _spelt(place.name) not in index:
            raise DataError(_unknown_class(place, classes))
        found += [Labelled(path, index[_spelt(place.name)]) for path in photos]
    if not found:
        raise DataError(
            f"{root} has no photos in class folders.\nIt should look like {root.name}/{classes[0]}/*.jpg, "
            f"with folders named as the bundle's classes: {_few(classes)}."
        )
    return found


def _spelt(name: str) -> str:
    """One spelling of accented letters: a Mac stores them as two characters in a folder's name."""
    return unicodedata.normalize("NFC", name)


def _unknown_class(place: Path, classes: Sequence[str]) -> str:
    near = difflib.get_close_matches(place.name, classes, n=3, cutoff=0.5)
    hint = f"The nearest it knows: {', '.join(near)}." if near else f"It knows: {_few(classes)}."
    return (
        f"{place} is a class that this bundle does not know. {hint}\n"
        f"Rename the folder, take it out, or train again with it among the photos."
    )


def _few(names: Sequence[str], most: int = 12) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _chunks(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    rest = iter(frames)
    while chunk := list(islice(rest, size)):
        yield chunk


def _finite(logits: NDArray[np.float32], engine: str, done: int) -> NDArray[np.float32]:
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if bad.size:
        raise EngineError(
            f"The engine {engine} gave values that are not numbers for picture {done + int(bad[0]) + 1}.\n"
            f"Its precision is too low for this model. Build one that is measured first:\n"
            f"    edgecam build-engine RUN --out NAME.edgecam --precision auto"
        )
    return logits
