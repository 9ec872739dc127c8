"""Shards made from a folder of photos: tar files that `edgecam train` and WebDataset read."""

import io
import json
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgecam_engines.console import track
from edgecam_engines.errors import DataError
from edgecam_engines.files import write_atomically
from edgecam_training.data import listed
from edgecam_training.items import Item, Problem


class Packed(NamedTuple):
    """What was made."""

    photos: int
    shards: list[Path]
    problems: list[Problem]  # photos that were left out


def pack(data: Path, out: Path, *, per_shard: int, seed: int) -> Packed:
    """DATA/CLASS/* into OUT/000000.tar and so on; DATA/train and DATA/val into OUT/train and OUT/val.

    Photos keep their bytes, and lie in random order, so every shard holds a bit of each class. Raises
    DataError, OutputError.
    """
    if any(out.rglob("*.tar")):
        raise DataError(f"{out} already holds shards. Choose another folder, or remove them first.")
    parts = ("train", "val") if (data / "train").is_dir() and (data / "val").is_dir() else ("",)
    shards: list[Path] = []
    problems: list[Problem] = []
    classes: tuple[str, ...] | None = None
    photos = 0
    for part in parts:
        classes, items = listed(data / part, problems, classes)
        write_atomically(out / part / "classes.txt", "".join(f"{name}\n" for name in classes))
        order = np.random.default_rng(seed).permutation(len(items))
        for first in track(range(0, len(items), per_shard), f"Packing {part}".rstrip()):
            shard = out / part / f"{first // per_shard:06}.tar"
            chosen = [(int(i), items[i]) for i in order[first : first + per_shard]]
            write_atomically(shard, _tar(chosen, classes))
            shards.append(shard)
        photos += len(items)
    return Packed(photos, shards, problems)


def _tar(chosen: list[tuple[int, Item]], classes: tuple[str, ...]) -> bytes:
    """The same photos give the same bytes: no times, no owners."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, item in chosen:
            about = {"class": classes[item.label], "file": item.path.name}
            for suffix, content in (
                (item.path.suffix.lower(), item.path.read_bytes()),
                (".cls", str(item.label).encode()),
                (".json", json.dumps(about, ensure_ascii=False).encode()),
            ):
                member = tarfile.TarInfo(f"{number:08}{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
