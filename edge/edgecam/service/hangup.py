"""SIGHUP: read the settings again; unless it says that the terminal is gone, which ends the run."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Hangup:
    """Whether somebody sent SIGHUP. A plain attribute: a lock taken in a signal handler can deadlock."""

    def __init__(self, terminal_gone: Callable[[], bool]) -> None:
        self._asked = False
        self._terminal_gone = terminal_gone

    def ask(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        self._asked = True

    def taken(self) -> bool:
        """True once after each time somebody asked. A closed terminal ends the run as SIGTERM does."""
        if not self._asked:
            return False
        self._asked = False
        if self._terminal_gone():
            signal.raise_signal(signal.SIGTERM)
            return False
        return True


@contextmanager
def hangup_signal() -> Iterator[Hangup]:
    """SIGHUP is noted while inside. Outside the main thread, or under nohup, nothing is installed."""
    on_terminal = [stream for stream in (sys.stdin, sys.stdout, sys.stderr) if _is_terminal(stream)]
    hangup = Hangup(lambda: any(not _is_terminal(stream) for stream in on_terminal))
    before = signal.getsignal(signal.SIGHUP)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield hangup
        return
    signal.signal(signal.SIGHUP, hangup.ask)
    try:
        yield hangup
    finally:
        signal.signal(signal.SIGHUP, before)


def _is_terminal(stream: object) -> bool:
    """Whether it is one that is still there: the system says no for one that was closed."""
    try:
        return os.isatty(stream.fileno())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False
