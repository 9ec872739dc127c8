"""Which photos may be taken apart: those of the training split, as `edgecam train` would draw it."""

from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np

from edgecam_engines.engine import Frame
from edgecam_engines.errors import DataError
from edgecam_engines.photo import BadPhoto, is_photo, read_photo
from edgecam_training.composite.tables import check_class
from edgecam_training.composite.terms import refuse
from edgecam_training.data import find_photos
from edgecam_training.items import Item, Problem
from edgecam_training.options import Options

LEAST_SIDE: Final = 32  # pixels of the shorter side that a picture must have left at the size asked for


class Photos(NamedTuple):
    """A data set, divided."""

    classes: tuple[str, ...]
    train: list[Item]
    val: list[Item]  # never taken apart
    problems: list[Problem]  # left out by name
    train_root: Path  # a photo of train lies at train_root/CLASS/...
    val_root: Path


def find(data: Path, *, seed: int) -> Photos:
    """DATA/train where there is one, else the share of DATA that `edgecam train --seed` learns from.

    Raises DataError: no class folders, a class without a usable photo, a class that cannot be listed.
    """
    parted = (data / "train").is_dir() and (data / "val").is_dir()
    root = data / "train" if (data / "train").is_dir() else data
    split = find_photos(data if parted else root, val_share=Options().val_share, min_photos=0, seed=seed)
    for name in split.classes:
        check_class(name, root / name)
    have = {item.label for item in split.train}
    if empty := [name for label, name in enumerate(split.classes) if label not in have]:
        raise DataError(
            f"There is no usable photo to take apart in {', '.join(str(root / name) for name in empty)}."
            f"{_told(split.problems)}\nAdd some, or take the folder out."
        )
    val_root = data / "val" if parted else root
    return Photos(split.classes, split.train, split.val, split.problems, root, val_root)


def _told(problems: list[Problem]) -> str:
    return "".join(f"\n    {problem.path}: {problem.reason}" for problem in problems[:20])


def read_small(path: Path, size: int) -> Frame:
    """Its longer side at most `size` pixels. Raises BadPhoto, for one that is too narrow, too."""
    frame = read_photo(path)
    shrink = min(1.0, size / max(frame.shape[:2]))
    h, w = (round(side * shrink) for side in frame.shape[:2])
    if min(h, w) < LEAST_SIDE:
        raise BadPhoto(path, f"at {w} x {h} pixels it is too small or too narrow to take apart")
    return (
        frame
        if shrink == 1
        else np.asarray(cv2.resize(frame, (w, h), interpolation=cv2.INTER_AREA), np.uint8)
    )


def find_grounds(folder: Path, size: int) -> list[Path]:
    """Every photo of a user's folder. Raises DataError: none, or any that cannot be used, by name."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and is_photo(path))
    if not found:
        what = "holds no photo" if folder.is_dir() else "is not a folder"
        raise DataError(
            f"--backgrounds {folder} {what}.\nGive a folder of photos that show none of the classes."
        )
    bad = []
    for path in found:
        try:
            read_small(path, size)
        except BadPhoto as one:
            bad.append(one)
    refuse(bad, "backgrounds")
    return found
