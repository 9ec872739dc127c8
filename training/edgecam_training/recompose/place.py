"""The folder for the result: what it may replace, and the originals beside the new photos."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgecam_engines.errors import DataError, OutputError
from edgecam_training.items import Item
from edgecam_training.recompose.photos import Photos

ABOUT: Final = "about.json"
MADE_BY: Final = "edgecam data augment"


def check_places(data: Path, out: Path, others: Sequence[Path]) -> None:
    """Refuse, before any work, an `out` that could harm something, and photos that are composites already.

    Raises OutputError, DataError.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file. Choose another --out.")
    for place in (data, *others):
        if _overlap(out.resolve(), place.resolve()):
            raise OutputError(
                f"{out} and {place} lie in each other, and {place} is only read. Choose another --out."
            )
    if out.is_dir() and any(out.iterdir()) and not is_ours(out):
        raise OutputError(
            f"{out} is not empty and was not made by `{MADE_BY}`, so it is left alone. Choose another --out."
        )
    if is_ours(data):
        raise DataError(f"{data} holds composites already. Give the photos that they were made from.")


def is_ours(folder: Path) -> bool:
    """Whether the folder says that it was made here."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and about.get("made_by") == MADE_BY


def _overlap(first: Path, second: Path) -> bool:
    return first == second or first in second.parents or second in first.parents


def add_originals(root: Path, photos: Photos) -> None:
    """root/train and root/val with every photo of the two splits, as links, or as copies."""
    for part, items, source in (
        ("train", photos.train, photos.train_root),
        ("val", photos.val, photos.val_root),
    ):
        for item in items:
            _link(item, root / part / item.path.relative_to(source))


def _link(item: Item, place: Path) -> None:
    if place.exists():
        raise DataError(f"{item.path} has the name of a new photo. Rename it, then run this again.")
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.symlink_to(item.path.absolute())
    except OSError:  # a file system without links, or a Windows that forbids them
        shutil.copyfile(item.path, place)
