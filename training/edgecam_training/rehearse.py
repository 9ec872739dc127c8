"""Which photos a finished network goes on with: new ones, and old ones so that it does not forget.

New are those in DATA and those taught to the bundle. Old classes that these do not show are rehearsed with
photos that the network learned from. Judges are photos that it never learned from: those of its own run, and
a share of the new ones or a folder of their own.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np

from edgecam_calibration.evaluate import Labelled
from edgecam_engines.console import log
from edgecam_engines.errors import DataError, TrainingError
from edgecam_engines.geometry import fit
from edgecam_training.base import Base
from edgecam_training.data import (
    Split,
    drawn,
    folders,
    listed,
    look,
    refuse_small,
    unique,
    without,
)
from edgecam_training.fewshot.example import digest_of
from edgecam_training.items import Item, Problem, read_item
from edgecam_training.options import Options
from edgecam_training.shards import is_sharded


def with_rehearsal(data: Path, val: Path | None, base: Base, options: Options) -> Split:
    """The classes of `base` and then the new ones, with photos of all. Raises DataError, TrainingError."""
    if val is None and (data / "train").is_dir() and (data / "val").is_dir():
        data, val = data / "train", data / "val"
    if is_sharded(data) or (val is not None and is_sharded(val)):
        raise DataError(f"--tune goes on with a few photos, in folders and not in shards: {data}/CLASS/*.jpg")
    classes = _classes(data, base)
    problems: list[Problem] = []
    fresh = listed(data, problems, classes)[1]
    judging = [] if val is None else listed(val, problems, classes)[1]
    _refuse_learned(judging, base)
    fresh += _taught(base, classes, [*fresh, *judging])
    judging += _looked_at(base.val, problems)
    fresh = without(fresh, judging, problems)
    if val is None:
        known, others = _parted(fresh, base)
        fresh, judges = drawn(others, len(classes), options.val_share, options.seed)
        fresh, judging = fresh + known, judges + judging
    judging = unique(judging, problems)
    old = _some(base, fresh, options, problems)
    train = without([*fresh, *old], judging, problems)
    _refuse_forgetting(base, train, options)
    refuse_small(classes, train, problems, options.min_photos)
    if not judging:
        raise DataError(f"{data} leaves no photo for validation. Add photos, or give some with --val.")
    known_classes = len(base.head.classes)
    log.print(
        f"{known_classes} classes are known and {len(classes) - known_classes} new; "
        f"{len(old)} photos that it learned from are shown again."
    )
    return Split(classes, train, judging, problems)


def _classes(data: Path, base: Base) -> tuple[str, ...]:
    if not data.is_dir() or not (found := folders(data)):
        raise DataError(
            f"{data} holds no class folders.\n"
            f"Lay new photos out as {data.name}/CLASS/*.jpg; one class will do."
        )
    named = {*found, *(each.label for each in base.taught)}
    return (*base.head.classes, *sorted(named - {*base.head.classes}))


def _taught(base: Base, classes: tuple[str, ...], others: list[Item]) -> list[Item]:
    """What the bundle was taught, less photos that are among `others`: there they have other bytes."""
    if not base.taught:
        return []
    there = {digest_of(fit(read_item(item), base.hw)) for item in others}
    return [
        each.item._replace(label=classes.index(each.label))
        for each in base.taught
        if each.pixels not in there
    ]


def _parted(items: list[Item], base: Base) -> tuple[list[Item], list[Item]]:
    """What the network learned from, which must not judge, and the rest."""
    known = [item for item in items if base.knows(item)]
    return known, [item for item in items if not base.knows(item)]


def _some(base: Base, fresh: list[Item], options: Options, problems: list[Problem]) -> list[Item]:
    """Photos that the network learned from: of each class so many that it has `rehearse` of them in all."""
    by_class = defaultdict(list)
    for photo in base.train:
        by_class[photo.label].append(photo)
    rng = np.random.default_rng(options.seed)
    chosen = []
    for label in sorted(by_class):
        own = [photo for photo in by_class[label] if photo.path.is_file()]
        shown = sum(item.label == label for item in fresh)
        order = rng.permutation(len(own))[: max(0, options.rehearse - shown)]
        chosen += [own[i] for i in sorted(order)]
    digests = {item.digest for item in fresh}
    return [item for item in _looked_at(chosen, problems) if item.digest not in digests]


def _looked_at(photos: list[Labelled], problems: list[Problem]) -> list[Item]:
    """Those that are still there and still photos."""
    items = []
    for photo in (photo for photo in photos if photo.path.is_file()):
        found = look(photo.path)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            items.append(Item(photo.path, photo.label, found))
    return items


def _refuse_learned(judging: list[Item], base: Base) -> None:
    if seen := sum(map(base.knows, judging)):
        raise TrainingError(
            f"{base.path} learned from {seen} of the {len(judging)} photos that would judge now.\n"
            f"Judge by others with --val, or leave it out: then a share of what is new judges."
        )


def _refuse_forgetting(base: Base, train: list[Item], options: Options) -> None:
    shown = {item.label for item in train}
    lost = [name for label, name in enumerate(base.head.classes) if label not in shown]
    if lost:
        raise TrainingError(
            f"There is no photo of {', '.join(lost[:10])}, which {base.path.name} knows and would forget.\n"
            f"Put photos of {'it' if len(lost) == 1 else 'them'} into DATA/CLASS too, or begin with the run, "
            f"which knows where its photos are (--init RUN).\nTo add classes without touching the network:\n"
            f"    edgecam teach BUNDLE DATA"
        )
