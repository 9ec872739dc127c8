"""Waiting for several givers at once, of this process and of others."""

import os
import select


class Bell:
    """Rung by threads and by sockets that become readable; one thread waits.

    What rang since the last `wait` ends the next one at once: nothing is missed between looking and waiting.
    """

    def __init__(self) -> None:
        self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll = select.epoll()
        self.listen(self._event)

    def listen(self, fd: int) -> None:
        """Ring at each arrival there, not for as long as something lies there."""
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)

    def unlisten(self, fd: int) -> None:
        """Before it is closed: another process may hold it as well."""
        self._epoll.unregister(fd)

    def ring(self) -> None:
        """Safe from any thread."""
        os.eventfd_write(self._event, 1)

    def wait(self, timeout: float) -> bool:
        """False after `timeout` seconds without a ring."""
        return bool(self._epoll.poll(max(0.0, timeout)))

    def __del__(self) -> None:
        # Not by hand: readers that were left behind may ring once more.
        self._epoll.close()
        os.close(self._event)
