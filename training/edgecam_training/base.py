"""A finished network to go on from, and the photos that come with it: a run, or a bundle built from one."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from edgecam_calibration.evaluate import Labelled
from edgecam_calibration.origin import DIGITS, digests_in, learned_by
from edgecam_calibration.run import open_run
from edgecam_engines.bundle import open_bundle
from edgecam_engines.console import log
from edgecam_engines.errors import TrainingError
from edgecam_engines.head import Head
from edgecam_engines.onnx_file import read_onnx
from edgecam_engines.taught.versions import DEFAULT, folder_of
from edgecam_training.fewshot.store import open_store
from edgecam_training.items import Item, Slot
from edgecam_training.model import Model, read_tensors
from edgecam_training.settings import is_bundle, settings_of
from edgecam_training.unfold import unfold


class Taught(NamedTuple):
    """A photo that was taught to a bundle."""

    item: Item  # in the bundle; its label says nothing
    label: str
    pixels: str  # what `example.digest_of` says of the photo as it was fitted


@dataclass(frozen=True)
class Base:
    """What training goes on from. Labels of photos are places in `head.classes`."""

    path: Path
    hw: tuple[int, int]  # pixels of its input
    head: Head
    learned: frozenset[str]  # photos it learned from, by the first digits of their SHA-256
    train: list[Labelled]  # those, as far as they are known by path
    val: list[Labelled]  # that never taught it
    taught: list[Taught]
    fill: Callable[[Model], None]  # puts its weights into the backbone and feature head of a network like it

    def knows(self, item: Item) -> bool:
        """Whether it learned from this photo."""
        return item.digest[:DIGITS] in self.learned


def open_base(path: Path) -> Base:
    """Open either. Raises TrainingError, BundleError."""
    return _of_bundle(path) if is_bundle(path) else _of_run(path)


def _of_run(path: Path) -> Base:
    run = open_run(path)

    def fill(model: Model) -> None:
        weights = read_tensors(path / _WEIGHTS)
        try:
            for name, part in (("backbone", model.backbone), ("head", model.head)):
                own = {key.removeprefix(f"{name}."): t for key, t in weights.items() if key.startswith(name)}
                part.load_state_dict(own)
        except RuntimeError as error:
            raise TrainingError(
                f"The weights of {path} do not fit this network.\n"
                f"Leave --backbone, --head and --dim out: a run that begins with another has its settings."
            ) from error

    hw = settings_of(path).input_hw
    return Base(path, hw, run.head, digests_in(path / "split.json"), run.train, run.val, [], fill)


def _of_bundle(path: Path) -> Base:
    bundle = open_bundle(path)
    graph = path / bundle.manifest.models["fp32"]

    def fill(model: Model) -> None:
        unfold(graph, read_onnx(graph, bundle.digests), model, bundle.input_hw)

    return Base(path, bundle.input_hw, bundle.head(), learned_by(path), [], [], _taught(path), fill)


def _taught(bundle: Path) -> list[Taught]:
    """The photos of its taught head, in the order of their classes; those that were not kept are counted."""
    store = open_store(folder_of(bundle, DEFAULT))
    examples = store.ordered()
    if without := sum(not each.photo.size for each in examples):
        log.print(
            f"{without} of the {len(examples)} photos taught to {bundle.name} were not kept.", style="yellow"
        )
    found = []
    for each in (each for each in examples if each.photo.size):
        file = store.folder / "photos" / f"{each.id}.safetensors"
        digest = hashlib.sha256(each.photo.tobytes()).hexdigest()
        item = Item(file.with_suffix(".jpg"), 0, digest, _slot(file))
        found.append(Taught(item, each.label, each.id))
    return found


def _slot(file: Path) -> Slot:
    """Where the photo's bytes lie in an example's file: behind a header and its length, eight bytes."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        begin, end = json.loads(opened.read(length))["photo"]["data_offsets"]
    return Slot(file, 8 + length + begin, end - begin)


_WEIGHTS: Final = "weights.safetensors"
