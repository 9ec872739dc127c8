"""From a folder of photos to arrays: found, checked, split, decoded once and kept as uint8."""

import hashlib
import os
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_engines.console import track
from edgecam_engines.errors import DataError, OutputError
from edgecam_engines.geometry import fit
from edgecam_engines.photo import BadPhoto, is_photo, read_photo
from edgecam_training.items import Item, Problem, read_item
from edgecam_training.shards import indexed, is_sharded, shard_classes, shard_files, shard_items


@dataclass(frozen=True)
class Split:
    """Which photos teach and which judge."""

    classes: tuple[str, ...]
    train: list[Item]
    val: list[Item]
    problems: list[Problem]  # left out; every one is reported by name


def find_photos(
    data: Path, *, val_share: float, min_photos: int, seed: int, val: Path | None = None
) -> Split:
    """Read DATA/CLASS/* or DATA/train/CLASS/* and DATA/val/CLASS/*, or shards in the place of class folders.

    Without a val folder (or `val`), `val_share` of each class is drawn with the seed. A photo that is also in
    val (by content) is taken out of train. Raises DataError when there is nothing sound to train on.
    """
    if val is None and (data / "train").is_dir() and (data / "val").is_dir():
        data, val = data / "train", data / "val"
    problems: list[Problem] = []
    classes, train = listed(data, problems)
    if val is not None:
        _, judging = listed(val, problems, classes)
        train = without(train, judging, problems)
    else:
        train = unique(train, problems)
        train, judging = drawn(train, len(classes), val_share, seed)
    refuse_small(classes, train, problems, min_photos)
    if not judging:
        raise DataError(f"{data} leaves no photo for validation. Add photos, or a val folder beside train.")
    return Split(classes, train, judging, problems)


def listed(
    root: Path, problems: list[Problem], known: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], list[Item]]:
    """The classes (those `known` already, or else its own) and every sound photo of a folder or of shards,
    class by class. Raises DataError."""
    sharded = is_sharded(root)
    if not sharded and not root.is_dir():
        raise DataError(
            f"{root} is not a folder.\n"
            f"Give a folder with one folder of photos a class, or a folder of WebDataset shards."
        )
    files = shard_files(root) if sharded else []
    indexes = indexed(files, cache_folder())
    names = shard_classes(files, indexes) if sharded else tuple(folders(root))
    classes = known or _two_or_more(root, names)
    extra = sorted(set(names) - set(classes))
    if extra:
        raise DataError(f"{root} has classes that train lacks: {', '.join(extra)}.")
    if not sharded:
        return classes, _items(root, classes, problems)
    items = shard_items(files, indexes, names, problems)
    return classes, [item._replace(label=classes.index(names[item.label])) for item in items]


def folders(root: Path) -> list[str]:
    """The names of its class folders."""
    return sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _two_or_more(root: Path, classes: tuple[str, ...]) -> tuple[str, ...]:
    if len(classes) < 2:
        found = f"one class folder ({classes[0]})" if classes else "no class folders"
        raise DataError(
            f"{root} holds {found}; a classifier needs at least two.\n"
            f"Lay the photos out as {root.name}/CLASS/*.jpg. For a single thing to find, add a folder of "
            f"photos without it, for example {root.name}/other."
        )
    return classes


def _items(root: Path, classes: tuple[str, ...], problems: list[Problem]) -> list[Item]:
    """Every file of every class that a first look does not rule out."""
    paths = [
        (path, label)
        for label, name in enumerate(classes)
        if (root / name).is_dir()
        for path in sorted((root / name).rglob("*"))
        if not path.is_dir() and not path.name.startswith(".")
    ]
    with ThreadPoolExecutor() as pool:
        looked = list(track(pool.map(lambda pair: look(pair[0]), paths), f"Checking {root.name}", len(paths)))
    items = []
    for (path, label), result in zip(paths, looked, strict=True):
        if isinstance(result, Problem):
            problems.append(result)
        else:
            items.append(Item(path, label, result))
    return items


def look(path: Path) -> str | Problem:
    """The file's hash, or what is wrong with it. Decodes the photo, since headers lie."""
    if not is_photo(path):
        return Problem(path, "not a photo by its name")
    try:
        read_photo(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except BadPhoto as bad:
        return Problem(path, bad.reason)
    except OSError as error:
        return Problem(path, error.strerror or str(error))


def without(train: list[Item], val: list[Item], problems: list[Problem]) -> list[Item]:
    """The photos to learn from, less those that judge."""
    judged = {item.digest: item.path for item in val}
    for item in train:
        if item.digest in judged:
            problems.append(Problem(item.path, f"the same photo is in val: {judged[item.digest].name}"))
    return unique([item for item in train if item.digest not in judged], problems)


def unique(items: list[Item], problems: list[Problem]) -> list[Item]:
    """One of each photo; the same photo under two labels is no use to either."""
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[item.digest].append(item)
    kept = []
    for group in groups.values():
        contradictory = len({item.label for item in group}) > 1
        kept += [] if contradictory else group[:1]
        for item in group[0 if contradictory else 1 :]:
            other = next(o for o in group if o is not item)
            what = "stands under two classes" if contradictory else "is here twice"
            problems.append(Problem(item.path, f"the same photo {what}: {other.path}"))
    return kept


def drawn(items: list[Item], classes: int, share: float, seed: int) -> tuple[list[Item], list[Item]]:
    """To learn from, and of each class a share to judge by."""
    rng = np.random.default_rng(seed)
    train: list[Item] = []
    val: list[Item] = []
    for label in range(classes):
        own = [item for item in items if item.label == label]
        order = rng.permutation(len(own))
        held = max(1, round(len(own) * share)) if len(own) > 1 else 0
        val += [own[i] for i in sorted(order[:held])]
        train += [own[i] for i in sorted(order[held:])]
    return train, val


def refuse_small(
    classes: tuple[str, ...], train: list[Item], problems: list[Problem], min_photos: int
) -> None:
    """Raises DataError where a class has too few photos, or none."""
    counts = Counter(item.label for item in train)
    small = [f"{name} ({counts[k]})" for k, name in enumerate(classes) if counts[k] < min_photos]
    if small:
        left_out = "".join(f"\n    {problem.path}: {problem.reason}" for problem in problems[:20])
        raise DataError(
            f"Too few usable photos to train on (at least {min_photos} a class): {', '.join(small)}.\n"
            f"Add photos, remove the folder, or lower --min-photos."
            + (f"\nLeft out as unusable:{left_out}" if problems else "")
        )


def decode(items: list[Item], hw: tuple[int, int], cache: Path) -> NDArray[np.uint8]:
    """All photos stretched to hw, uint8 (n, h, w, 3) BGR, as a memory map that later runs reuse.

    The file's name is a hash of the photos' contents and the size, so it is never stale. It is written
    beside and renamed; the space is claimed first, so that a full disk is an error and not a crash.
    """
    key = hashlib.sha256(f"{hw} {cv2.__version__}".encode())
    for item in items:
        key.update(item.digest.encode())
    path = cache / f"{key.hexdigest()[:32]}.npy"
    if not path.exists():
        _fill(path, items, hw)
    return np.load(path, mmap_mode="r")


def _fill(path: Path, items: list[Item], hw: tuple[int, int]) -> None:
    beside = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        array = np.lib.format.open_memmap(beside, mode="w+", dtype=np.uint8, shape=(len(items), *hw, 3))
        with beside.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, beside.stat().st_size)
        with ThreadPoolExecutor() as pool:
            photos = pool.map(lambda item: fit(read_item(item), hw), items)
            for index, photo in enumerate(track(photos, "Decoding", len(items))):
                array[index] = photo
        array.flush()
        beside.replace(path)
    except OSError as error:
        raise OutputError(
            f"The decoded photos could not be kept in {path.parent}: {error.strerror or error}.\n"
            f"They need {len(items) * hw[0] * hw[1] * 3 / 1e6:.0f} MB. Free some space, or point "
            f"XDG_CACHE_HOME to a larger disk."
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where decoded photos are kept between runs; safe to delete at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgecam"
