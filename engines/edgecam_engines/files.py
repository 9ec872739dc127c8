"""Writing so that nothing is ever half there: beside, flushed to disk, then renamed."""

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgecam_engines.errors import OutputError


def write_atomically(path: Path, content: bytes | str | Callable[[Path], object]) -> None:
    """Put content at `path` all at once; a callable is given the temporary path to write to.

    The temporary file keeps the suffix, since writers choose the format by it. Raises OutputError
    when the disk is full or the folder cannot be written; the old file is then untouched.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        if callable(content):
            content(temporary)
        else:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} could not be written: {error.strerror or error}.\n"
            f"Nothing was changed. Free some space or choose another folder, then run the same command again."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, document: Any) -> None:
    """Write one JSON document, indented, at once."""
    write_atomically(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hex."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_limited(path: Path, limit: int) -> bytes:
    """A file's content, read once, so that what was hashed is what is parsed.

    Raises ValueError for more than `limit` bytes and for what is no regular file (a pipe would block,
    a device never ends), OSError as usual.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("it is not a regular file")
        # The size may grow meanwhile, so what was read counts.
        if about.st_size > limit or len(content := file.read(limit + 1)) > limit:
            raise ValueError(f"it is larger than {limit} bytes")
    return content


def read_checked(path: Path, limit: int, sha256: str | None) -> bytes:
    """`read_limited`, and ValueError when the content has another SHA-256 than the one given."""
    content = read_limited(path, limit)
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError("it was changed since its SHA-256 was noted")
    return content
