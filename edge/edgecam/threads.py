"""OpenCV on one thread, as in the loop, and threads that let the loop go first."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import cv2


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """OpenCV's own threads would fight the three stages for the cores."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def step_back(by: int = 10) -> None:
    """Let the other threads go before this one. Only Linux keeps niceness per thread."""
    with suppress(OSError, AttributeError):
        own = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, min(19, os.getpriority(os.PRIO_PROCESS, own) + by))
