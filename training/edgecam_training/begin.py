"""What stands before the first step: settings, photos, the network at its start, and a record of them."""

import hashlib
import json
import math
import os
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgecam_engines.console import log
from edgecam_engines.errors import TrainingError
from edgecam_engines.files import write_json
from edgecam_training.base import open_base
from edgecam_training.batches import Batch, Frames, epoch_batches
from edgecam_training.data import Split, cache_folder, decode, find_photos
from edgecam_training.items import Item
from edgecam_training.mixing import parse_mixes
from edgecam_training.model import Model
from edgecam_training.options import Options, load_options
from edgecam_training.rehearse import with_rehearsal
from edgecam_training.seam import add_correlation
from edgecam_training.shards import ShardPhotos, shard_numbers


@dataclass(frozen=True)
class Photos:
    """Photos, all decoded or still in shards, and their labels."""

    frames: Frames  # n times (h, w, 3) uint8 BGR
    labels: NDArray[np.int64]  # (n,)
    shards: NDArray[np.int64] | None = None  # (n,) in which of them each lies


def prepared(
    data: Path, val: Path | None, run: Path, options: Options, *, resume: bool
) -> tuple[Options, Split]:
    """The settings that count, and the photos; every photo left out is named. Writes nothing."""
    if resume:
        options = stored_options(run)
    elif (run / "options.json").exists():
        raise TrainingError(
            f"{run} already holds a run.\n"
            f"Go on with it by adding --resume, or choose another folder with --out."
        )
    parse_mixes(options.mix, options.mix_probability)  # a wrong name is told before any photo is read
    if options.tune:
        split = with_rehearsal(data, val, open_base(Path(options.init)), options)
    else:
        split = find_photos(
            data, val=val, val_share=options.val_share, min_photos=options.min_photos, seed=options.seed
        )
    report_problems(split)
    return options, split


def stored_options(run: Path) -> Options:
    """The settings of the run to go on with. Raises TrainingError."""
    if not (run / "options.json").exists():
        raise TrainingError(f"{run} holds no run to go on with.\nStart one there by leaving out --resume.")
    return load_options(run / "options.json")


def report_problems(split: Split) -> None:
    """Name every file that was left out."""
    for problem in split.problems:
        log.print(f"left out {problem.path}: {problem.reason}", style="yellow", markup=False)


def to_learn_from(items: list[Item], input_hw: tuple[int, int]) -> Photos:
    """The training photos, half as large again as the input, so that random crops lose nothing."""
    h, w = (math.ceil(side * 1.5) for side in input_hw)
    shards = shard_numbers(items)
    if shards is not None:
        return Photos(ShardPhotos(items, (h, w)), labels_of(items), shards)
    return Photos(decode(items, (h, w), cache_folder()), labels_of(items))


def batches_in(
    photos: Photos, options: Options, epoch: int, *, first_step: int = 0, part: tuple[int, int] = (0, 1)
) -> Generator[Batch, None, None]:
    """The batches of one epoch from a step on; with part (r, n), of each the photos r, r + n, ..."""
    return epoch_batches(
        photos.frames,
        photos.labels,
        hw=options.train_hw(epoch),
        batch=options.batch,
        min_crop=options.min_crop,
        flip_vertical=options.flip_vertical,
        recolour=options.recolour,
        balance=options.balance,
        seed=(options.seed, epoch),
        first_step=first_step,
        part=part,
        shards=photos.shards,
        threads=1 if photos.shards is None else os.cpu_count() or 1,
    )


def labels_of(items: list[Item]) -> NDArray[np.int64]:
    return np.array([item.label for item in items], dtype=np.int64)


def make_model(options: Options, classes: tuple[str, ...], labels: NDArray[np.int64]) -> Model:
    """The network at its start, on the CPU; `labels` (n,) are those of the photos it will see."""
    torch.manual_seed(options.seed)
    model = add_correlation(
        Model(
            len(classes),
            backbone=options.backbone,
            head=options.head,
            dim=options.dim,
            dropout=options.dropout,
            pretrained=options.pretrained,
            experts=(options.experts, options.experts_kept),
        ),
        options,
    )
    model.backbone.save_memory = options.save_memory
    if options.expect:
        model.classify.expect(
            expected_shares(options.expect, classes),
            shown=torch.bincount(torch.from_numpy(labels)) ** (1 - options.balance),
        )
    return model


def expected_shares(expect: dict[str, float], classes: tuple[str, ...]) -> Tensor:
    """The share of each class in use, (classes,). Raises TrainingError unless exactly they are named."""
    if set(expect) != set(classes):
        raise TrainingError(
            f"--expect names {', '.join(expect)}, but the classes are {', '.join(classes)}.\n"
            f"Give every class its share: --expect {','.join(f'{name}=1' for name in classes[:4])}"
        )
    return torch.tensor([expect[name] for name in classes])


def fingerprint(split: Split, options: Options) -> str:
    digest = hashlib.sha256(json.dumps(asdict(replace(options)), sort_keys=True).encode())
    for item in (*split.train, *split.val):
        digest.update(f"{item.digest}{item.label}".encode())
    return digest.hexdigest()


def save_split(data: Path, split: Split, path: Path) -> None:
    def listed(items: list[Item]) -> list[dict[str, Any]]:
        return [{"path": str(i.path.resolve()), "label": i.label, "sha256": i.digest} for i in items]

    problems = [{"path": str(p.path), "reason": p.reason} for p in split.problems]
    document = {"data": str(data.resolve()), "classes": split.classes, "train": listed(split.train)}
    write_json(path, {**document, "val": listed(split.val), "problems": problems})
