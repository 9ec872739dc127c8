"""How fast the processors run, and between which bounds: of the CPU's clusters and of the GPU."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from edgecam.telemetry.read import number, text

_CPU: Final = "sys/devices/system/cpu/cpufreq"
_GPU: Final = "sys/class/devfreq"
# 17000000.gpu on JetPack 6 and 7, 17000000.ga10b on 5; older modules gv11b, gp10b, gm20b.
_GPU_NAMES: Final = ("gpu", "ga10b", "gv11b", "gp10b", "gm20b")


class Speed(NamedTuple):
    """One clock. MHz; None where it is not told."""

    name: str  # "cpu0" for the cluster of core 0, "gpu"
    now: float | None
    least: float | None  # that its governor may choose
    most: float | None
    governor: str | None
    hardware: float | None = None  # the highest that the hardware can, where that is told

    @property
    def capped(self) -> bool:
        """Its governor may not choose what the hardware can."""
        return self.most is not None and self.hardware is not None and self.most < 0.99 * self.hardware

    @property
    def pinned(self) -> bool:
        """Least and most are one, as `jetson_clocks` makes them."""
        return self.least is not None and self.least == self.most


def read_clocks(root: Path = Path("/")) -> list[Speed]:
    """Every cluster of cores in order, then the GPU; empty where the kernel shows none, as in most clouds."""
    return [*_cpu(root), *_gpu(root)]


def gpu_folder(root: Path) -> Path | None:
    """Where a Jetson's GPU shows itself."""
    found = sorted((root / _GPU).glob("*"))
    return next((path for path in found if path.name.rsplit(".", 1)[-1] in _GPU_NAMES), None)


def all_pinned(clocks: Iterable[Speed]) -> bool | None:
    """Whether `jetson_clocks` (or the like) holds every clock; None where none is shown."""
    listed = list(clocks)
    return all(clock.pinned for clock in listed) if listed else None


def as_document(clocks: Iterable[Speed]) -> list[dict[str, Any]]:
    return [
        {
            "name": c.name,
            "mhz": c.now,
            "least_mhz": c.least,
            "most_mhz": c.most,
            "governor": c.governor,
        }
        for c in clocks
    ]


def _cpu(root: Path) -> Iterator[Speed]:
    policies = [path for path in (root / _CPU).glob("policy*") if path.name[6:].isdecimal()]
    for path in sorted(policies, key=lambda path: int(path.name[6:])):
        now, least, most = (_mhz(path / f"scaling_{which}_freq", 1e3) for which in ("cur", "min", "max"))
        hardware = _mhz(path / "cpuinfo_max_freq", 1e3)
        yield Speed(f"cpu{path.name[6:]}", now, least, most, text(path / "scaling_governor"), hardware)


def _gpu(root: Path) -> Iterator[Speed]:
    folder = gpu_folder(root)
    if folder is not None:
        now, least, most = (_mhz(folder / f"{which}_freq", 1e6) for which in ("cur", "min", "max"))
        yield Speed("gpu", now, least, most, text(folder / "governor"))


def _mhz(path: Path, per_mhz: float) -> float | None:
    value = number(path)
    return None if value is None else value / per_mhz
