"""Photos from shards and bundles that a run needs later as files: its judges, and some to calibrate with."""

from pathlib import Path
from typing import Final

import numpy as np

from edgecam_engines.files import write_atomically
from edgecam_training.data import Split
from edgecam_training.items import Item, bytes_in
from edgecam_training.shards import shard_numbers

TO_CALIBRATE: Final = 512  # more than calibration looks at


def kept(split: Split, folder: Path) -> Split:
    """The split with photos that lie in others' files written to folder/{train,val}/CLASS.

    Of shards' training photos some from all over; all that were taught to a bundle. Photos in files of their
    own stay where they are.
    """
    some = np.unique(np.linspace(0, len(split.train) - 1, TO_CALIBRATE).astype(int))
    train = split.train if shard_numbers(split.train) is None else [split.train[i] for i in some]
    return Split(
        split.classes,
        [_as_file(item, folder / "train" / split.classes[item.label]) for item in train],
        [_as_file(item, folder / "val" / split.classes[item.label]) for item in split.val],
        split.problems,
    )


def _as_file(item: Item, folder: Path) -> Item:
    if item.slot is None:
        return item
    path = folder / f"{item.digest[:16]}{item.path.suffix}"
    if not path.exists():
        write_atomically(path, bytes_in(item.slot))
    return item._replace(path=path, slot=None)
