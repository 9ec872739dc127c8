"""Keeping the process small. Where the C library is not glibc, nothing happens here."""

import ctypes
from typing import Final

_ARENA_MAX: Final = -8  # M_ARENA_MAX of malloc.h


def share() -> None:
    """Let threads that start from now on share one heap: frames that one stage frees serve another."""
    _glibc("mallopt", _ARENA_MAX, 1)


def trim() -> None:
    """Return what was freed. Opening a model frees as much again as the model keeps."""
    _glibc("malloc_trim", 0)


def _glibc(name: str, *arguments: int) -> None:
    try:
        call = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return
    call(*arguments)
