"""Debian packages as a source of pictures: fetched by apt, unpacked by dpkg, kept in the cache. No root."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote

from edgecam_engines.console import bar
from edgecam_engines.errors import DataError, OutputError
from edgecam_engines.photo import is_photo

_VERSION: Final = "version.txt"  # written last, so a folder that has it is whole
_POLL_S: Final = 0.1
_INSTEAD: Final = "Or make the data set of your own pictures: --cutouts DIR --backgrounds DIR"


class Package(NamedTuple):
    """A Debian package that holds pictures."""

    name: str
    pictures: str  # the folder inside that they are in
    licence: str
    holders: str


class Fetched(NamedTuple):
    """A package's pictures on this disk."""

    pictures: Path  # laid out as in the package
    version: str


def fetch(package: Package, cache: Path) -> Fetched:
    """The pictures from the cache, or from the Debian mirror that apt knows into it.

    Raises DataError when they cannot be had, OutputError when they cannot be kept.
    """
    place = cache / "debian" / package.name
    if not (place / _VERSION).is_file():
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place.parent, prefix=".fetching-") as beside:
                _fetch(package, Path(beside), place)
        except OSError as error:
            raise OutputError(
                f"The package {package.name} could not be kept in {place.parent}: "
                f"{error.strerror or error}.\n"
                f"Free some space, or point XDG_CACHE_HOME to a larger disk."
            ) from error
    return Fetched(place / "pictures", (place / _VERSION).read_text(encoding="utf-8").strip())


def _fetch(package: Package, beside: Path, place: Path) -> None:
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise DataError(
                f"{tool} is not here, and the pictures are in the Debian package {package.name}.\n"
                f"Make the data set on a machine with Debian or Ubuntu.\n{_INSTEAD}"
            )
    archive = _download(package.name, beside)
    _unpack(archive, beside / "tree")
    pictures = beside / "tree" / package.pictures
    if not pictures.is_dir():
        raise DataError(f"{archive.name} has no folder {package.pictures}: another release?\n{_INSTEAD}")
    for path in pictures.rglob("*"):  # the stamps come with 150 MB of spoken names
        if not path.is_dir() and not is_photo(path):
            path.unlink()
    whole = beside / "whole"
    whole.mkdir()
    pictures.rename(whole / "pictures")
    (whole / _VERSION).write_text(unquote(archive.name.split("_")[1]) + "\n", encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    whole.rename(place)


def _download(name: str, folder: Path) -> Path:
    """The .deb. apt checks it against the archive's signed sums."""
    listed = subprocess.run(
        ["apt-get", "download", "--print-uris", name], cwd=folder, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        raise DataError(_not_had(name, listed.stderr))
    size = _size(listed.stdout)
    with (folder / "errors").open("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            ["apt-get", "--quiet", "download", name], cwd=folder, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            _watch(process, folder, size, name)
        finally:
            process.kill()
            process.wait()
        errors.seek(0)
        said = errors.read()
    archives = list(folder.glob("*.deb"))
    if process.returncode or not archives:
        raise DataError(_not_had(name, said))
    return archives[0]


def _size(listed: str) -> int:
    """Bytes, from a line such as 'http://…' NAME.deb 160880444 SHA512:…; 0 when it is not there."""
    fields = listed.split()
    return int(fields[2]) if len(fields) > 2 and fields[2].isdigit() else 0


def _watch(process: "subprocess.Popen[bytes]", folder: Path, size: int, name: str) -> None:
    with bar() as progress:
        task = progress.add_task(f"Fetching {name}", total=size // 10**6 or None, note="MB")
        while process.poll() is None:
            progress.update(task, completed=_arrived(folder) // 10**6)
            time.sleep(_POLL_S)


def _arrived(folder: Path) -> int:
    """Bytes so far."""
    try:
        return max((path.stat().st_size for path in folder.rglob("*.deb*")), default=0)
    except FileNotFoundError:  # apt has just renamed it
        return 0


def _unpack(archive: Path, tree: Path) -> None:
    done = subprocess.run(
        ["dpkg", "-x", str(archive), str(tree)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DataError(
            f"{archive.name} could not be unpacked by dpkg:\n{done.stderr.strip()[-600:]}\n"
            f"If the disk is full, free some space or point XDG_CACHE_HOME to a larger one, then try again."
        )


def _not_had(name: str, said: str) -> str:
    return (
        f"The Debian package {name} could not be downloaded:\n{said.strip()[-600:]}\n"
        f"Check the network. If apt does not know the package, or its lists are old, type:\n"
        f"    sudo apt-get update\n"
        f"{_INSTEAD}"
    )
