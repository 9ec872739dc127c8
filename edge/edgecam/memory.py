"""Giving memory back to the system."""

import ctypes


def trim() -> None:
    """Return what was freed. Opening a model frees as much again as the model keeps.

    glibc keeps freed memory for later, in the arena of the thread that had it, where frames of other
    threads cannot use it. Where the C library has no such call, nothing happens.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return
