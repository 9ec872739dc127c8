"""Class heads that were taught on the device: beside the bundle's own, in versions, changed in one step.

    taught/NAME/current.json               which version is in use
    taught/NAME/versions/0003.safetensors  a class head
    taught/NAME/versions/0003.json         its hash, the network it is for, what it was taught with
    taught/NAME/photos/                    what it was taught with (edgecam_training.fewshot)

They lie in the bundle, so that who copies the bundle copies them, but like plans they are no part of what
its manifest lists: the manifest says what was built and measured, and these change every day. Each carries
hashes of its own. A version is written first and `current.json` last, so whoever reads finds the old head
or the new one, whole.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from edgecam_engines.errors import BundleDamaged, BundleError
from edgecam_engines.files import read_limited, sha256_of, write_json
from edgecam_engines.head import Head, load_head, save_head

FOLDER: Final = "taught"  # of a bundle
CURRENT: Final = "current.json"
DEFAULT: Final = "taught"  # the name of a head that was given none
_LIMIT: Final = 16 << 20  # bytes; a version lists its photos
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Taught:
    """One version of a taught head."""

    name: str
    version: int
    parent: int | None  # the version before it; what undo goes back to
    network: str  # SHA-256 of the bundle's FP32 graph: the network whose features the head reads
    head: Head
    about: Mapping[str, Any]  # method, photos and figures, as JSON


def check_name(name: str) -> str:
    """The name, if it can be one. Raises BundleError."""
    if not _NAME.fullmatch(name):
        raise BundleError(
            f"A taught head cannot be called {name!r}: letters, digits, - and _ alone, 64 at most.\n"
            f"For example: --head {DEFAULT}"
        )
    return name


def folder_of(bundle: Path, name: str) -> Path:
    """Where a taught head of a bundle lies. Raises BundleError for what can be no name."""
    return bundle / FOLDER / check_name(name)


def taught_names(bundle: Path) -> list[str]:
    """The taught heads of a bundle that are in use."""
    return sorted(p.parent.name for p in (bundle / FOLDER).glob(f"*/{CURRENT}"))


def versions(folder: Path) -> list[int]:
    """Of one taught head, all that were ever made and are kept, oldest first."""
    return sorted(int(p.stem) for p in (folder / "versions").glob("*.json") if p.stem.isdecimal())


def current(folder: Path) -> int | None:
    """The version in use; None where there is none. Raises BundleDamaged."""
    file = folder / CURRENT
    try:
        return int(json.loads(read_limited(file, _LIMIT))["version"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleDamaged(f"{file} cannot be read ({error}).\n{_MEND}") from error


class Note(NamedTuple):
    """What is written beside a version's head: enough to fit it again."""

    sha256: str  # of the head's file
    network: str
    parent: int | None
    about: Mapping[str, Any]


def load_note(folder: Path, version: int) -> Note:
    """The note of one version, whether or not this edgecam can read its head. Raises BundleDamaged."""
    file = folder / "versions" / f"{version:04}.json"
    try:
        told = json.loads(read_limited(file, _LIMIT))
        if told.pop("own_sha256") != _digest(told):
            raise ValueError("it was changed since it was written")
        parent = None if told["parent"] is None else int(told["parent"])
        return Note(str(told["sha256"]), str(told["network"]), parent, dict(told["about"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleDamaged(f"{file} cannot be read ({error}).\n{_MEND}") from error


def load_version(folder: Path, version: int) -> Taught:
    """One version of the taught head in `folder`. Raises BundleDamaged; BundleError as `load_head`."""
    note = load_note(folder, version)
    head = load_head(folder / "versions" / f"{version:04}.safetensors", note.sha256)
    return Taught(folder.name, version, note.parent, note.network, head, note.about)


def load_taught(bundle: Path, name: str, network: str) -> Taught | None:
    """The version in use of a taught head; None where there is none of that name.

    `network` is the SHA-256 of the bundle's FP32 graph. Raises BundleError when the head was taught to
    another one, BundleDamaged when it is not what was written.
    """
    folder = folder_of(bundle, name)
    version = current(folder)
    if version is None:
        return None
    found = load_version(folder, version)
    if found.network != network:
        raise BundleError(
            f"The head {name!r} was taught to another network than this bundle's: it was built anew since.\n"
            f"Fit it again, from the photos that were kept:\n    edgecam teach {bundle} --head {name}"
        )
    return found


def save_version(folder: Path, head: Head, *, network: str, about: Mapping[str, Any]) -> Taught:
    """Write a head as the next version and make it the one in use. Raises OutputError."""
    parent = current(folder)
    version = max(versions(folder), default=0) + 1
    file = folder / "versions" / f"{version:04}.safetensors"
    save_head(head, file)
    told = {"sha256": sha256_of(file), "network": network, "parent": parent, "about": dict(about)}
    write_json(file.with_suffix(".json"), {**told, "own_sha256": _digest(told)})
    use_version(folder, version)
    return Taught(folder.name, version, parent, network, head, about)


def use_version(folder: Path, version: int | None) -> None:
    """Make a version the one in use, in one step; None: no version, so that there is no such head."""
    if version is None:
        (folder / CURRENT).unlink(missing_ok=True)
    else:
        write_json(folder / CURRENT, {"version": version})


def carry_taught(bundle: Path, new: Path) -> list[str]:
    """Take what was taught to a bundle over into the folder that will replace it; the heads' names.

    The files are shared, not copied: none is ever written to again. The heads were taught to another network
    and must be fitted again, from the photos that come along.
    """
    if not (bundle / FOLDER).is_dir():
        return []
    shutil.copytree(bundle / FOLDER, new / FOLDER, copy_function=os.link)
    return taught_names(new)


class HeadWatch:
    """Tells a running loop when the taught head that it uses was changed. Asking costs one look at a file."""

    def __init__(self, bundle: Path, name: str, network: str) -> None:
        self._bundle, self._name, self._network = bundle, name, network
        self._file = folder_of(bundle, name) / CURRENT
        self._seen = self._stamp()

    def changed(self) -> Head | None:
        """The new head, once, when there is one; None when nothing changed. Raises as `load_taught`."""
        stamp = self._stamp()
        if stamp == self._seen:
            return None
        self._seen = stamp
        found = load_taught(self._bundle, self._name, self._network)
        return found.head if found is not None else None

    def _stamp(self) -> tuple[int, int] | None:
        try:
            about = self._file.stat()
        except OSError:
            return None
        return about.st_mtime_ns, about.st_ino


def _digest(told: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


_MEND: Final = "Go back to the version before it:\n    edgecam teach BUNDLE --undo --head NAME"
