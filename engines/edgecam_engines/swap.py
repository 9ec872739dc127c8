"""Two folders change places in one step, so that a name never stands for nothing or for a mixture.

Linux does it in one call. Where the file system cannot, the old folder is put aside under a name that can
be found again, and whoever opens the bundle next puts it back if the process died in between.
"""

import ctypes
import errno
import os
import shutil
from pathlib import Path
from typing import Final

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_CANNOT: Final = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}


def exchange(first: Path, second: Path) -> bool:
    """Swap two names of one file system in one step. False where the system cannot, OSError otherwise."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(first))


def replace_folder(new: Path, out: Path) -> None:
    """`new` stands at `out`, whole and on disk; what was there is gone. OSError leaves `out` as it was."""
    flush(new)
    if not out.exists():
        new.rename(out)
    elif exchange(new, out):
        _remove(new)  # the old one by now
    else:
        _replace_aside(new, out)
    _flush_folder(out.parent)


def recover(out: Path) -> None:
    """Put back what a process that died while replacing had put aside. Does nothing otherwise."""
    old = _aside(out)
    if old.is_dir() and not os.path.lexists(out):
        old.rename(out)


def remove_aside(out: Path) -> None:
    """Take away what was put aside, once there is something at `out`."""
    if out.exists():
        _remove(_aside(out))


def flush(folder: Path) -> None:
    """Wait until all in a folder is on disk, so that a power cut after the swap finds it whole."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        elif path.is_dir():
            _flush_folder(path)
    _flush_folder(folder)


def _replace_aside(new: Path, out: Path) -> None:
    old = _aside(out)
    _remove(old)
    try:
        out.rename(old)
        new.rename(out)
    except BaseException:  # Ctrl-C too: between the two renames nothing stands at `out`
        recover(out)
        raise
    _remove(old)


def _aside(out: Path) -> Path:
    return out.with_name(f".{out.name}.replaced")


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot for folders
            raise
    finally:
        os.close(handle)
