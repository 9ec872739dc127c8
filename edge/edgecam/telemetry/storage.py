"""What a folder lies on: how much room is left, and what kind of disk it is."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from edgecam.telemetry.read import number, text

_MMC: Final = {"MMC": "eMMC", "SD": "SD card"}
# sda1 -> sda, nvme0n1p2 -> nvme0n1, mmcblk0p1 -> mmcblk0
_PARTITION: Final = re.compile(r"^((?:nvme\d+n\d+|mmcblk\d+)(?=p\d+$)|x?[hsv]d[a-z]+(?=\d+$))")

Usage = Callable[[Path], tuple[int, int, int]]  # total, used and free bytes


class Disk(NamedTuple):
    """Where a folder lies."""

    kind: str  # "eMMC", "SD card", "NVMe", "SSD", "hard disk", "virtual disk"; else the file system's
    free_gb: float
    total_gb: float
    read_only: bool
    others: tuple[str, ...] = ()  # kinds of the other disks of this machine


def read_disk(folder: Path, root: Path = Path("/"), usage: Usage = shutil.disk_usage) -> Disk | None:
    """Of the absolute `folder`; None where it cannot be told."""
    try:
        total, _, free = usage(folder)
    except OSError:
        return None
    source, system, options = _mount(folder, text(root / "proc/mounts") or "")
    ours = disk_name(Path(source).name) if source.startswith("/dev/") else ""
    kinds = {path.name: kind_of(path) for path in sorted((root / "sys/block").glob("*"))}
    kind = kinds.get(ours) or system or "a file system of unknown kind"
    others = tuple(each for name, each in kinds.items() if each and name != ours)
    return Disk(kind, free / 1e9, total / 1e9, "ro" in options.split(","), others)


def kind_of(device: Path) -> str | None:
    """Of an entry of /sys/block; None for what is no disk: loops, RAM, zram, boot partitions."""
    name = device.name
    if name.startswith("nvme"):
        return "NVMe"
    if re.fullmatch(r"mmcblk\d+", name):
        return _MMC.get(text(device / "device/type") or "", "eMMC or SD card")
    if re.fullmatch(r"x?vd[a-z]+", name):
        return "virtual disk"
    if re.fullmatch(r"[sh]d[a-z]+", name):
        return "hard disk" if number(device / "queue/rotational") else "SSD"
    return None


def disk_name(partition: str) -> str:
    """The disk that a partition is of; a whole disk's own name."""
    found = _PARTITION.match(partition)
    return found[1] if found else partition


def _mount(folder: Path, mounts: str) -> tuple[str, str, str]:
    """Source, kind and options of the file system that the folder is in; the one mounted last wins."""
    best, found = -1, ("", "", "")
    for line in mounts.splitlines():
        words = line.split()
        if len(words) < 4:
            continue
        point = Path(words[1].replace("\\040", " "))
        if folder.is_relative_to(point) and len(point.parts) >= best:
            best, found = len(point.parts), (words[0], words[2], words[3])
    return found
