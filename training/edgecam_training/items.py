"""One photo to learn from: where it lies, what is on it, and how to read it."""

from pathlib import Path
from typing import NamedTuple

from edgecam_engines.engine import Frame
from edgecam_engines.errors import DataError
from edgecam_engines.photo import photo_from_bytes, read_photo


class Slot(NamedTuple):
    """Bytes inside a shard."""

    shard: Path
    offset: int
    size: int


class Item(NamedTuple):
    """One photo and what is on it."""

    path: Path  # of the file; in a shard SHARD.tar/KEY.jpg, for people to read
    label: int
    digest: str  # SHA-256 of the photo's bytes
    slot: Slot | None = None  # None for a file of its own


class Problem(NamedTuple):
    """One file that was left out, and why."""

    path: Path
    reason: str


def read_item(item: Item) -> Frame:
    """The photo, BGR uint8 (H, W, 3). Raises BadPhoto, DataError."""
    return photo_from_bytes(bytes_in(item.slot), item.path) if item.slot else read_photo(item.path)


def bytes_in(slot: Slot) -> bytes:
    """What lies there. Raises DataError when the shard is gone or has become shorter."""
    try:
        with slot.shard.open("rb") as file:
            file.seek(slot.offset)
            content = file.read(slot.size)
    except OSError as error:
        raise DataError(f"{slot.shard} cannot be read: {error.strerror or error}.") from error
    if len(content) < slot.size:
        raise DataError(f"{slot.shard} has become shorter while it was in use. Put it back and use --resume.")
    return content
