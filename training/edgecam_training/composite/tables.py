"""The truth on disk: the metadata folders of the WSOL protocol, and one CSV of boxes a part."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from edgecam_engines.errors import DataError
from edgecam_training.composite.paste import Box
from edgecam_training.composite.terms import Part

HEADER: Final = "image_id,x0,y0,x1,y1"
_AWKWARD: Final = frozenset(',"\n\r/\\')
_TAKEN: Final = frozenset({"train", "val", "test", "masks", "boxes", "metadata"})


class Row(NamedTuple):
    """One picture's line in every table."""

    image_id: str  # its path below the data set's folder: "test/bird/bird-0007.jpg"
    label: int  # index of its class among all, in alphabetical order
    box: Box
    cutout: str
    background: str


def check_class(name: str, folder: Path) -> None:
    """Raises DataError for a class that would break the tables, which are split at commas, or the folders."""
    if _AWKWARD & set(name):
        raise DataError(f"{folder}: a class's name may hold no comma, quote, slash or line break. Rename it.")
    if name in _TAKEN:
        raise DataError(f"{folder}: a class cannot be called {name}; the data set has a folder of that name.")


def write_tables(root: Path, part: Part, rows: Sequence[Row], size: int) -> None:
    """metadata/SPLIT/*.txt as published for the protocol, and boxes/FOLDER.csv, rows in the order given."""
    tables: Mapping[str, list[str]] = {
        "image_ids.txt": [row.image_id for row in rows],
        "class_labels.txt": [f"{row.image_id},{row.label}" for row in rows],
        "image_sizes.txt": [f"{row.image_id},{size},{size}" for row in rows],
        "localization.txt": [_box_line(row) for row in rows],
    }
    folder = root / "metadata" / part.split
    folder.mkdir(parents=True)
    for name, lines in tables.items():
        _write(folder / name, lines)
    (root / "boxes").mkdir(exist_ok=True)
    _write(root / "boxes" / f"{part.folder}.csv", [HEADER, *tables["localization.txt"]])


def _box_line(row: Row) -> str:
    return ",".join([row.image_id, *map(str, row.box)])


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
