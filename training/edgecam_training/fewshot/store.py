"""Where the photos that teach a head are kept: one file each, so that nothing is ever half there.

taught/NAME/photos/ID.safetensors    in use
taught/NAME/removed/ID.safetensors   taken out, so that undo can bring it back; the first to go
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edgecam_engines.errors import BundleDamaged, OutputError
from edgecam_engines.files import read_limited, write_atomically
from edgecam_training.fewshot.example import Example, from_bytes, to_bytes

QUOTA_MB: Final = 500.0  # some 10,000 photos
_LIMIT: Final = 64 << 20  # bytes of one example
_ENDING: Final = ".safetensors"


@dataclass
class Store:
    """The examples of one taught head. Read once when it is opened; every change is on disk before it counts.

    For the one who holds `lock.only_teacher`; to look alone needs no lock.
    """

    folder: Path  # taught/NAME
    quota_mb: float = QUOTA_MB
    examples: dict[str, Example] = field(default_factory=dict)  # by id
    bad: list[Path] = field(default_factory=list)  # files that are no examples; left where they are

    def add(self, example: Example) -> None:
        """Keep an example; one of the same photo is replaced. Raises OutputError: no space, no quota."""
        content = to_bytes(example)
        self._make_room(len(content))
        write_atomically(self._file(example.id), content)
        self._gone(example.id).unlink(missing_ok=True)
        self.examples[example.id] = example

    def remove(self, ids: Iterable[str]) -> None:
        """Take examples out. They can be brought back until room is needed."""
        for each in list(ids):
            self._gone(each).parent.mkdir(parents=True, exist_ok=True)
            self._file(each).replace(self._gone(each))
            del self.examples[each]

    def relabel(self, each: str, label: str) -> None:
        self.add(self.examples[each].relabelled(label))

    def bring_back(self, each: str) -> bool:
        """Put one that was taken out into use again; False where it is gone for good."""
        if each not in self.examples and self._gone(each).is_file():
            self._gone(each).replace(self._file(each))
            self.examples[each] = _read(self._file(each))
        return each in self.examples

    def purge(self) -> int:
        """Delete what was taken out for good; how many there were."""
        gone = self._removed()
        for file in gone:
            file.unlink()
        return len(gone)

    def ordered(self) -> list[Example]:
        """By class, then by id: whatever the order of teaching was, what is fitted is the same."""
        return sorted(self.examples.values(), key=lambda each: (each.label, each.id))

    @property
    def labels(self) -> list[str]:
        return sorted({each.label for each in self.examples.values()})

    @property
    def used_bytes(self) -> int:
        return sum(p.stat().st_size for p in self.folder.glob(f"*/*{_ENDING}") if p.parent.name != "versions")

    def export(self, out: Path) -> int:
        """Write the photos as OUT/CLASS/ID.jpg, for `edgecam train`; how many. Raises OutputError."""
        kept = [each for each in self.ordered() if each.photo.size]
        for each in kept:
            write_atomically(out / each.label / f"{each.id}.jpg", each.photo.tobytes())
        return len(kept)

    def _make_room(self, needed: int) -> None:
        quota = self.quota_mb * 1e6
        if self.used_bytes + needed <= quota:
            return
        for file in self._removed():
            file.unlink()
            if self.used_bytes + needed <= quota:
                return
        raise OutputError(
            f"The {len(self.examples)} photos that were taught fill their {self.quota_mb:g} MB. Nothing was "
            f"lost.\nTake a class out, or allow more:\n"
            f"    edgecam teach {self.folder.parents[1]} --remove-class CLASS --head {self.folder.name}\n"
            f"    edgecam teach {self.folder.parents[1]} --quota-mb {2 * self.quota_mb:g} ..."
        )

    def _removed(self) -> list[Path]:
        """Taken out, the oldest first."""
        return sorted((self.folder / "removed").glob(f"*{_ENDING}"), key=lambda p: p.stat().st_mtime_ns)

    def _file(self, each: str) -> Path:
        return self.folder / "photos" / f"{each}{_ENDING}"

    def _gone(self, each: str) -> Path:
        return self.folder / "removed" / f"{each}{_ENDING}"


def open_store(folder: Path, quota_mb: float = QUOTA_MB) -> Store:
    """Read all examples in `folder`, which need not exist. What is none of ours is named in `bad`."""
    store = Store(folder, quota_mb)
    for file in sorted((folder / "photos").glob(f"*{_ENDING}")):
        if file.name.startswith("."):
            continue  # somebody died while writing it
        try:
            example = _read(file)
        except BundleDamaged:
            store.bad.append(file)
        else:
            store.examples[example.id] = example
    return store


def _read(file: Path) -> Example:
    try:
        example = from_bytes(read_limited(file, _LIMIT))
        if example.id != file.stem:
            raise ValueError(f"it holds the photo {example.id}")
    except (OSError, ValueError) as error:
        raise BundleDamaged(f"{file} is no photo that was taught ({error}). Delete it.") from error
    return example
