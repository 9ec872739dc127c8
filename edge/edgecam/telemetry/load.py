"""What else the machine does: processor time of all, swap in use, the GPU's load."""

import os
from pathlib import Path
from typing import NamedTuple

from edgecam.telemetry.clocks import gpu_folder
from edgecam.telemetry.read import number, text


class Usage(NamedTuple):
    """Sums since the machine started, and what is in use now."""

    busy_s: float | None  # processor seconds of everybody, all cores; None where the kernel does not tell
    swap_mb: float | None  # in use


def read_usage(root: Path = Path("/"), ticks: int | None = None) -> Usage:
    """`ticks` of the kernel's clock make a second; None asks the system."""
    return Usage(_busy(root, ticks or os.sysconf("SC_CLK_TCK")), _swap(root))


def gpu_load(root: Path = Path("/")) -> float | None:
    """A Jetson's GPU load in [0, 1]; None where there is none to read."""
    folder = gpu_folder(root)
    value = None if folder is None else number(folder / "device/load")
    return None if value is None else value / 1000


def _busy(root: Path, ticks: int) -> float | None:
    words = (text(root / "proc/stat") or "").partition("\n")[0].split()
    if len(words) < 8 or words[0] != "cpu":
        return None
    user, nice, system, _idle, _iowait, irq, softirq, *rest = (int(word) for word in words[1:])
    # What a hypervisor took away is neither ours nor idle; guests are in `user` already.
    steal = rest[0] if rest else 0
    return (user + nice + system + irq + softirq + steal) / ticks


def _swap(root: Path) -> float | None:
    fields = dict(
        line.split(":", 1) for line in (text(root / "proc/meminfo") or "").splitlines() if ":" in line
    )
    try:
        total, free = (int(fields[key].split()[0]) for key in ("SwapTotal", "SwapFree"))
    except (KeyError, IndexError, ValueError):
        return None
    return (total - free) / 1024
