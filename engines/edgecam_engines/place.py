"""Putting a bundle in its place: built beside, swapped in whole, the old one kept until then."""

import os
import shutil
import tempfile
from pathlib import Path

from edgecam_engines.bundle import MANIFEST
from edgecam_engines.errors import OutputError


def check_out(out: Path) -> None:
    """Refuse, before any work, a place where the bundle could not or should not go."""
    if out.suffix != ".edgecam":
        right = out.with_suffix(".edgecam") if out.name.strip(".") else out / "NAME.edgecam"
        raise OutputError(f"A bundle's name ends in .edgecam. Type: --out {right}")
    if out.exists() and not (out / MANIFEST).is_file():
        raise OutputError(f"{out} exists and is not a bundle, so it is left alone. Choose another --out.")


class WorkFolder:
    """A folder beside `out`, gone afterwards unless it was swapped in.

    What the system refuses inside (a full disk above all) leaves as OutputError.
    """

    def __init__(self, out: Path) -> None:
        self._out = out

    def __enter__(self) -> Path:
        try:
            self._out.parent.mkdir(parents=True, exist_ok=True)
            name = tempfile.mkdtemp(prefix=f".{self._out.stem}-", suffix=".building", dir=self._out.parent)
        except OSError as error:
            raise OutputError(
                f"{self._out} cannot be written: {error.strerror}. Choose another --out."
            ) from error
        self._folder = Path(name)
        self._folder.chmod(0o755)
        return self._folder

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            about = f" ({error.filename})" if error.filename else ""
            raise OutputError(
                f"{self._out} could not be made: {error.strerror or error}{about}.\n"
                f"Nothing was changed. Free some space or choose another --out, then run it again."
            ) from error


def swap_in(folder: Path, out: Path) -> None:
    """Put the finished folder where the bundle belongs; the one that was there goes afterwards."""
    old = out.with_name(f".{out.stem}-{os.getpid()}.replaced")
    try:
        if out.exists():
            out.rename(old)
        folder.rename(out)
    except BaseException as error:  # Ctrl-C too: between the two renames nothing stands at `out`
        if old.exists() and not out.exists():
            old.rename(out)
        if not isinstance(error, OSError):
            raise
        raise OutputError(f"{out} could not be replaced: {error.strerror}. It is as it was.") from error
    shutil.rmtree(old, ignore_errors=True)
