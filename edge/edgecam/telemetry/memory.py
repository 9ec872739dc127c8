"""Memory and swap: how much there is, how much is left, and what lies behind the swap."""

from pathlib import Path
from typing import NamedTuple

from edgecam.telemetry.read import text


class Swap(NamedTuple):
    """One place to swap to. MB."""

    name: str  # "/dev/zram0", "/swapfile"
    size: float
    used: float

    @property
    def compressed(self) -> bool:
        """Memory itself, compressed: it makes room, and takes some of the same memory for it."""
        return "zram" in self.name


class Memory(NamedTuple):
    """MB; None where the kernel does not tell."""

    total: float | None = None
    available: float | None = None  # without swapping
    swaps: tuple[Swap, ...] = ()

    @property
    def swap_on_disk(self) -> float:
        return sum(swap.size for swap in self.swaps if not swap.compressed)


def read_memory(root: Path = Path("/")) -> Memory:
    """From /proc. Never raises."""
    told = dict(
        line.split(":", 1) for line in (text(root / "proc/meminfo") or "").splitlines() if ":" in line
    )
    swaps = [_swap(line.split()) for line in (text(root / "proc/swaps") or "").splitlines()[1:]]
    return Memory(
        _mb(told.get("MemTotal")),
        _mb(told.get("MemAvailable")),
        tuple(swap for swap in swaps if swap is not None),
    )


def _swap(words: list[str]) -> Swap | None:
    # Filename, type, size, used, priority. A name's blanks are written as \040.
    if len(words) < 5 or not (words[2].isdecimal() and words[3].isdecimal()):
        return None
    return Swap(words[0].replace("\\040", " "), int(words[2]) / 1024, int(words[3]) / 1024)


def _mb(field: str | None) -> float | None:
    words = (field or "").split()
    return int(words[0]) / 1024 if words and words[0].isdecimal() else None
