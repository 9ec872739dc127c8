"""One teacher a bundle at a time. The system frees the lock of a process that died, however it died."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edgecam_engines.errors import BundleError, OutputError
from edgecam_engines.taught.versions import FOLDER

LOCK: Final = "lock"


@contextmanager
def only_teacher(bundle: Path, *, wait: bool = False) -> Iterator[None]:
    """Nobody else teaches this bundle meanwhile. Raises BundleError when somebody does, unless it may `wait`
    until they are done; OutputError."""
    file = bundle / FOLDER / LOCK
    try:
        file.parent.mkdir(exist_ok=True)
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise OutputError(
            f"{bundle} cannot be taught: {file} cannot be written ({error.strerror}).\n"
            f"Copy the bundle to a disk that can be written, and teach it there."
        ) from error
    try:
        if wait:
            fcntl.flock(handle, fcntl.LOCK_EX)
        else:
            _take(handle, bundle)
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)  # and with it the lock


def _take(handle: int, bundle: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in {errno.EWOULDBLOCK, errno.EAGAIN}:
            raise OutputError(f"{bundle} cannot be locked: {error.strerror}.") from error
        who = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
        raise BundleError(
            f"{bundle.name} is being taught by another program (process {who}); two at once would undo each "
            f"other's work.\nWait until it is done, or end it, then run the same command again:\n"
            f"    ps -p {who} -o pid,etime,args"
        ) from error
