"""An x86 machine's energy counters: how many joules each processor package has taken so far."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from edgecam.telemetry.read import number, text

_ZONES: Final = "sys/class/powercap/intel-rapl:*"  # AMD's too: the kernel keeps the name

Joules = Callable[[], float | None]


class Counter:
    """A counter in joules that never falls back: the kernel's own wraps at some hundred kilojoules."""

    def __init__(self, read: Callable[[], int | None], wraps_at: int) -> None:
        self._read, self._wraps_at = read, wraps_at
        self._last = read()
        self._turns = 0

    def __call__(self) -> float | None:
        value = self._read()
        if value is None or self._last is None:
            return None
        self._turns += value < self._last
        self._last = value
        return (self._turns * self._wraps_at + value) / 1e6


class Zones(NamedTuple):
    """The packages' counters, and whether there are some that this user may not read."""

    counters: dict[str, Joules]
    refused: bool


def find_counters(root: Path = Path("/")) -> Zones:
    """Packages alone: what lies within one (cores, memory) is in it already."""
    counters: dict[str, Joules] = {}
    refused = False
    for zone in sorted(root.glob(_ZONES)):
        name, energy = text(zone / "name") or zone.name, zone / "energy_uj"
        if zone.name.count(":") != 1 or not name.startswith("package"):
            continue
        if number(energy) is None:
            refused = refused or energy.exists()
        else:
            counters[name] = Counter(_reader(energy), number(zone / "max_energy_range_uj") or 1 << 32)
    return Zones(counters, refused)


def _reader(path: Path) -> Callable[[], int | None]:
    return lambda: number(path)
