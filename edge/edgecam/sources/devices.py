"""The cameras of this machine, and what stands in the way of one that cannot be used."""

import fcntl
import getpass
import grp
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgecam.sources import v4l2

DEV: Final = Path("/dev")
SYSFS: Final = Path("/sys/class/video4linux")
PROC: Final = Path("/proc")
HELD_SHOWN: Final = 3
CSI_DRIVER: Final = "tegra-video"  # a Jetson shows its CSI sensors as nodes too, but with raw pixels


@dataclass(frozen=True)
class Device:
    """One device node. Without a card, `trouble` says why it could not be asked."""

    path: Path
    name: str  # what the kernel calls it; "" where it does not
    card: v4l2.Card | None
    trouble: str = ""
    always: Path | None = None  # a path that stays the same when other cameras come and go


def nodes(dev: Path = DEV) -> list[Path]:
    """Every /dev/videoN, in the order of N."""
    found = (path for path in dev.glob("video*") if path.name[5:].isdecimal())
    return sorted(found, key=lambda path: int(path.name[5:]))


def find_devices(dev: Path = DEV, sysfs: Path = SYSFS, ioctl: v4l2.Ioctl = fcntl.ioctl) -> list[Device]:
    """Cameras that were asked, and nodes that could not be. Metadata nodes and codecs are left out."""
    asked = [look_at(path, dev, sysfs, ioctl) for path in nodes(dev)]
    return [device for device in asked if device.card is None or device.card.captures]


def look_at(path: Path, dev: Path = DEV, sysfs: Path = SYSFS, ioctl: v4l2.Ioctl = fcntl.ioctl) -> Device:
    """Ask one node what it is."""
    name = _kernel_name(sysfs / path.resolve().name)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return Device(path, name, None, no_permission(path))
    except OSError as error:
        return Device(path, name, None, f"{path} cannot be opened: {error.strerror}.")
    try:
        card = v4l2.ask(descriptor, ioctl)
    except OSError as error:
        return Device(path, name, None, f"{path} does not answer as a camera: {error.strerror}.")
    finally:
        os.close(descriptor)
    return Device(path, name or card.model, card, always=_same_always(path, dev))


def uris(found: list[Device]) -> list[str]:
    """What to write for each after --camera. CSI sensors are numbered among themselves."""
    answer, sensors = [], 0
    for device in found:
        if device.card is not None and device.card.driver == CSI_DRIVER:
            answer.append(f"csi://{sensors}")
            sensors += 1
        else:
            answer.append(str(device.path))
    return answer


def cameras_here(dev: Path = DEV, sysfs: Path = SYSFS, ioctl: v4l2.Ioctl = fcntl.ioctl) -> str:
    """One sentence that lists the cameras of this machine."""
    if not nodes(dev):
        return "This machine shows no camera at all (no /dev/video*)."
    found = find_devices(dev, sysfs, ioctl)
    if not found:
        return "None of this machine's /dev/video* is a camera: they give metadata, or are codecs."
    return (
        "Here are: " + ", ".join(f"{each.path}{f' ({each.name})' * bool(each.name)}" for each in found) + "."
    )


def no_permission(path: Path) -> str:
    """Why this user may not use a device, and what to type."""
    try:
        node = path.stat()
    except OSError as error:
        return f"You may not use {path}: {error.strerror}."
    group = _group_name(node.st_gid)
    return way_in(path, group, node.st_mode, _user(), _joined(group))


def way_in(path: Path, group: str, mode: int, user: str, joined: bool) -> str:
    """The same for a device of this group and mode, and a user who has joined the group, or has not."""
    if mode & 0o060 != 0o060 or group == "root":
        return (
            f"You may not use {path}: it belongs to the group {group} with mode {stat.filemode(mode)}, so "
            f"joining a group is no help.\nGive it to the group video, for good:\n"
            f'    echo \'SUBSYSTEM=="video4linux", GROUP="video", MODE="0660"\' | '
            f"sudo tee /etc/udev/rules.d/70-cameras.rules && sudo udevadm trigger"
        )
    if joined:
        return (
            f"You may not use {path} yet: you joined the group {group} after this session began.\n"
            f"Log out and in again, or for this one shell:\n    newgrp {group}"
        )
    return (
        f"You may not use {path}: it belongs to the group {group}, and you are not in it.\n"
        f"Join it, then log out and in again (a container needs --group-add {group}):\n"
        f"    sudo usermod -aG {group} {user}"
    )


def holders(path: Path, proc: Path = PROC) -> list[str]:
    """Programs that hold a device open, as "name (process 123)"; only those that this user may see."""
    target, found = str(path.resolve()), []
    for entry in proc.glob("[0-9]*"):
        try:
            held = any(str(link.readlink()) == target for link in (entry / "fd").iterdir())
            name = (entry / "comm").read_text().strip() if held else ""
        except OSError:  # not ours, or gone
            continue
        if held and int(entry.name) != os.getpid():
            found.append(f"{name} (process {entry.name})")
    return found[:HELD_SHOWN]


def _kernel_name(entry: Path) -> str:
    try:
        return (entry / "name").read_text().strip()
    except OSError:
        return ""


def _same_always(path: Path, dev: Path) -> Path | None:
    links = sorted((dev / "v4l" / "by-id").glob("*")) if (dev / "v4l" / "by-id").is_dir() else []
    return next((link for link in links if link.resolve() == path.resolve()), None)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _joined(group: str) -> bool:
    try:
        return _user() in grp.getgrnam(group).gr_mem
    except KeyError:
        return False


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under an id without a name
        return "$USER"
