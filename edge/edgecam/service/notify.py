"""systemd's notifications: words in a datagram to the socket that it named. No library is needed for that."""

import os
import socket
from collections.abc import Mapping


class Notify:
    """Sends assignments such as READY=1. Without a socket in the environment it does nothing."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self.wanted = name[:1] in {"/", "@"}
        self.watchdog_s = _watchdog(environ) if self.wanted else None
        # A leading @ stands for the zero byte of an abstract socket, which has no file.
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._socket: socket.socket | None = None

    def tell(self, **assignments: str | int) -> bool:
        """Send all of them in one datagram; False when it was not taken. Never waits, never raises."""
        if not self.wanted:
            return False
        lines = [f"{name}={_one_line(str(value))}" for name, value in assignments.items()]
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.setblocking(False)
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:  # its queue is full, or it is gone: the next one may get through
            return False
        return True

    def close(self) -> None:
        """Give the socket back. Safe to call twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """Seconds after which systemd takes silence for a hang; None when it does not watch this process."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    period = environ.get("WATCHDOG_USEC", "")
    return int(period) / 1e6 if period.isdecimal() and int(period) > 0 else None


def _one_line(words: str) -> str:
    return " ".join(words.split())
