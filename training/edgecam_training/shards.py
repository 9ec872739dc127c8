"""Photos in WebDataset shards: tar files that hold KEY.jpg beside KEY.cls or KEY.json.

Every shard is gone through once, which finds where each photo lies and whether it can be decoded. From
then on photos are read out of the tar files by their place, in any order, so shards have all that folders
have: the same batches on one process or many, and a run that goes on at any step. Nothing is unpacked.
"""

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_engines.console import track
from edgecam_engines.engine import Frame
from edgecam_engines.errors import DataError
from edgecam_engines.files import write_json
from edgecam_engines.geometry import fit
from edgecam_engines.photo import SUFFIXES, BadPhoto, photo_from_bytes
from edgecam_training.items import Item, Problem, Slot, bytes_in, read_item

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Entry(NamedTuple):
    """One sample of a shard as its index keeps it."""

    name: str  # KEY.jpg
    offset: int
    size: int
    digest: str
    what: int | str  # the class by number (cls) or by name (json)


class Index(NamedTuple):
    """What a shard holds."""

    entries: list[Entry]
    problems: list[tuple[str, str]]  # name, reason


class ShardPhotos:
    """Photos by number, read and stretched to hw when asked for; from several threads at once if need be."""

    def __init__(self, items: list[Item], hw: tuple[int, int]) -> None:
        self._items, self._hw = items, hw

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int, /) -> Frame:
        return fit(read_item(self._items[index]), self._hw)


def is_sharded(data: Path) -> bool:
    """Whether this names shards: one, SHARD-{000..009}.tar, or a folder of them."""
    return data.suffix == ".tar" or (data.is_dir() and any(data.glob("*.tar")))


def shard_numbers(items: list[Item]) -> NDArray[np.int64] | None:
    """In which of the shards each photo lies, (n,); None for photos in files of their own or in a bundle."""
    names = [str(item.slot.shard) for item in items if item.slot and item.slot.shard.suffix == ".tar"]
    return np.unique(names, return_inverse=True)[1].astype(np.int64) if names else None


def shard_files(data: Path) -> list[Path]:
    """The files that DATA names, in order. Raises DataError when one is not there."""
    files = sorted(data.glob("*.tar")) if data.is_dir() else [Path(name) for name in _expanded(str(data))]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise DataError(
            f"{missing[0]} is not there; of the {len(files)} shards in {data}, {len(missing)} are missing.\n"
            f"Shards are files on this machine: first copy them here, or mount where they are."
        )
    return files


def _expanded(pattern: str) -> Iterator[str]:
    """The first range of numbers spelled out, then the rest of the pattern."""
    found = _RANGE.search(pattern)
    if not found:
        yield pattern
        return
    low, high = found.groups()
    for number in range(int(low), int(high) + 1):
        yield from _expanded(f"{pattern[: found.start()]}{number:0{len(low)}}{pattern[found.end() :]}")


def shard_classes(files: list[Path], indexes: list[Index]) -> tuple[str, ...]:
    """From classes.txt, one a line, beside the shards or above; else the names that json members give.

    Raises DataError when samples have numbers and nothing says what they mean.
    """
    for folder in (files[0].parent, files[0].parent.parent):
        if (folder / "classes.txt").is_file():
            lines = (folder / "classes.txt").read_text(encoding="utf-8").splitlines()
            return tuple(line.strip() for line in lines if line.strip())
    what = {entry.what for index in indexes for entry in index.entries}
    if any(isinstance(one, int) for one in what):
        raise DataError(
            f"The samples in {files[0].parent} have class numbers, but no file says what they mean.\n"
            f"Write the names of the classes, one a line, to {files[0].parent / 'classes.txt'}."
        )
    return tuple(sorted(str(one) for one in what))


def shard_items(
    files: list[Path], indexes: list[Index], classes: tuple[str, ...], problems: list[Problem]
) -> list[Item]:
    """Every sound photo, by class and then by name, as photos in folders are listed."""
    number = {name: label for label, name in enumerate(classes)}
    items = []
    for file, index in zip(files, indexes, strict=True):
        problems += [Problem(file / name, reason) for name, reason in index.problems]
        for entry in index.entries:
            label = entry.what if isinstance(entry.what, int) else number.get(entry.what, -1)
            if 0 <= label < len(classes):
                slot = Slot(file, entry.offset, entry.size)
                items.append(Item(file / entry.name, label, entry.digest, slot))
            else:
                problems.append(Problem(file / entry.name, f"there is no class {entry.what}"))
    return sorted(items, key=lambda item: (item.label, item.path.name, item.path))


def indexed(files: list[Path], cache: Path) -> list[Index]:
    """The index of each shard, from the cache where the shard is as it was."""
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda file: _index(file, cache), files)
        return list(track(found, "Checking shards", len(files)))


def _index(file: Path, cache: Path) -> Index:
    status = file.stat()
    key = f"1 {file.resolve()} {status.st_size} {status.st_mtime_ns}"
    kept = cache / f"shard-{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    try:
        stored = json.loads(kept.read_text(encoding="utf-8"))
        return Index([Entry(*entry) for entry in stored[0]], [(name, why) for name, why in stored[1]])
    except (OSError, ValueError):
        index = index_shard(file)
        write_json(kept, index)
        return index


def index_shard(file: Path) -> Index:
    """Go through one shard and decode every photo, since names and headers lie."""
    entries: list[Entry] = []
    problems: list[tuple[str, str]] = []
    members, torn = _members(file)
    problems += torn
    for key, sample in members.items():
        photos = [suffix for suffix in sample if f".{suffix}" in SUFFIXES]
        name = f"{key}.{photos[0]}" if photos else key
        if not photos:
            problems.append((name, "no photo in this sample"))
            continue
        try:
            what = _class(file, sample)
            content = bytes_in(sample[photos[0]])
            photo_from_bytes(content, file / name)
            slot = sample[photos[0]]
            entries.append(Entry(name, slot.offset, slot.size, hashlib.sha256(content).hexdigest(), what))
        except BadPhoto as bad:
            problems.append((name, bad.reason))
        except (ValueError, KeyError, TypeError, DataError) as error:
            problems.append((name, f"no class in its cls or json: {error}"))
    return Index(entries, problems)


def _members(file: Path) -> tuple[dict[str, dict[str, Slot]], list[tuple[str, str]]]:
    """Where the parts of each sample lie: key -> suffix -> place; and what is wrong with the tar itself.

    As WebDataset has it, a key ends at the first dot of the file's name, and the suffix is the rest.
    """
    samples: dict[str, dict[str, Slot]] = {}
    try:
        with tarfile.open(file, "r:") as tar:  # a compressed one could not be read by place
            for member in tar:
                folder, slash, name = member.name.rpartition("/")
                stem, dot, suffix = name.partition(".")
                if member.isreg() and dot and stem:
                    slot = Slot(file, member.offset_data, member.size)
                    samples.setdefault(f"{folder}{slash}{stem}", {})[suffix.lower()] = slot
    except (tarfile.TarError, EOFError) as error:
        return samples, [("", f"the shard is damaged or compressed: {error}")]
    return samples, []


def _class(file: Path, sample: dict[str, Slot]) -> int | str:
    if "cls" in sample:
        return int(bytes_in(sample["cls"]).decode().strip())
    about: dict[str, Any] = json.loads(bytes_in(sample["json"]))
    return str(about["class"]) if "class" in about else int(about["label"])
