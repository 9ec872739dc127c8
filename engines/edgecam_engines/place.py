"""Putting a bundle in its place: built beside, swapped in whole, the old one kept until then."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from edgecam_engines.bundle import MANIFEST
from edgecam_engines.errors import OutputError
from edgecam_engines.swap import recover, remove_aside, replace_folder

_SUFFIX: Final = ".building"


def check_out(out: Path) -> None:
    """Refuse, before any work, a place where the bundle could not or should not go."""
    if out.suffix != ".edgecam":
        right = out.with_suffix(".edgecam") if out.name.strip(".") else out / "NAME.edgecam"
        raise OutputError(f"A bundle's name ends in .edgecam. Type: --out {right}")
    recover(out)
    if out.exists() and not (out / MANIFEST).is_file():
        raise OutputError(f"{out} exists and is not a bundle, so it is left alone. Choose another --out.")


class WorkFolder:
    """A folder beside `out`, gone afterwards unless it was swapped in.

    It is locked while its process lives; what a killed one left is swept away first. What the system
    refuses inside (a full disk above all) leaves as OutputError.
    """

    def __init__(self, out: Path) -> None:
        self._out = out

    def __enter__(self) -> Path:
        try:
            self._out.parent.mkdir(parents=True, exist_ok=True)
            _sweep(self._out)
            self._folder, self._lock = _locked_folder(self._out)
        except OSError as error:
            raise OutputError(
                f"{self._out} cannot be written: {error.strerror}. Choose another --out."
            ) from error
        self._folder.chmod(0o755)
        return self._folder

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            about = f" ({error.filename})" if error.filename else ""
            raise OutputError(
                f"{self._out} could not be made: {error.strerror or error}{about}.\n"
                f"Nothing was changed. Free some space or choose another --out, then run it again."
            ) from error


def swap_in(folder: Path, out: Path) -> None:
    """Put the finished folder where the bundle belongs; the one that was there goes afterwards.

    A process killed at any moment leaves one or the other, whole.
    """
    try:
        replace_folder(folder, out)
    except OSError as error:
        raise OutputError(f"{out} could not be replaced: {error.strerror}. It is as it was.") from error


def _locked_folder(out: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{out.stem}-", suffix=_SUFFIX, dir=out.parent))
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():  # nobody swept it away before it was locked
            return folder, lock
        os.close(lock)


def _sweep(out: Path) -> None:
    """Remove work folders for `out` whose process is gone: their locks are free."""
    remove_aside(out)
    for left in out.parent.iterdir():
        if left.name.startswith(f".{out.stem}-") and left.name.endswith(_SUFFIX) and not left.is_symlink():
            try:
                lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY)
            except OSError:
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            except OSError:  # its process lives
                continue
            finally:
                os.close(lock)
