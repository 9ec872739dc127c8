"""A systemd that only listens: a datagram socket that keeps what it is told."""

import socket
from contextlib import suppress
from pathlib import Path
from types import TracebackType


class Listening:
    """A notification socket, in the file system or abstract (a name that begins with @)."""

    def __init__(self, where: Path | str) -> None:
        self.name = str(where)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + self.name[1:] if self.name.startswith("@") else self.name)
        self._socket.setblocking(False)
        self._heard: list[dict[str, str]] = []

    def listen(self) -> None:
        """Take what waits. The kernel keeps ten datagrams or so for those who do not."""
        with suppress(BlockingIOError):
            while words := self._socket.recv(65536).decode():
                self._heard.append(dict(line.split("=", 1) for line in words.split("\n")))

    def heard(self) -> list[dict[str, str]]:
        """Every datagram since the last call, each as its assignments."""
        self.listen()
        heard, self._heard = self._heard, []
        return heard

    def environ(self, watchdog_s: float | None = None) -> dict[str, str]:
        """What systemd would put into the environment of the service."""
        watched = {} if watchdog_s is None else {"WATCHDOG_USEC": str(int(watchdog_s * 1e6))}
        return {"NOTIFY_SOCKET": self.name, **watched}

    def __enter__(self) -> "Listening":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
