"""Where a reader puts word of its newest frame, and takes it back when it has a newer one.

A queue between two processes that both may read: each message comes out once, to one of them, and with it
the slot that it speaks of. Normally it holds one message.
"""

import os
import socket
import struct
from typing import Final, NamedTuple

from edgecam.isolation.channel import Channel, Closed
from edgecam.isolation.ring import Mapped
from edgecam_engines.engine import Frame

_PLACED: Final = struct.Struct("=BBBQIIQd")
_FD: Final = struct.Struct("=i")
_BESIDE_BYTES: Final = socket.CMSG_SPACE(_FD.size)


class Placed(NamedTuple):
    """A slot of a ring holds a frame."""

    ring: int  # modulo 256
    slots: int
    slot: int
    slot_bytes: int
    height: int
    width: int
    number: int  # counts every frame that came to this process, from 0
    captured: float  # seconds on the monotonic clock, which all processes of a machine share


class Outbox:
    """The child's side."""

    def __init__(self, giving: socket.socket, taking: socket.socket) -> None:
        self._giving, self._taking = giving, taking

    def put(self, placed: Placed, fd: int | None) -> None:
        """With a file descriptor of the ring for as long as nobody has taken one. Raises Closed."""
        # Not socket.send_fds and recv_fds, which leave their flags out.
        beside = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, _FD.pack(fd))]
        try:
            self._giving.sendmsg([_PLACED.pack(*placed)], beside, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError as error:
            raise Closed from error

    def take_back(self) -> Placed | None:
        """What nobody has taken yet. The kernel closes the descriptor that comes with it."""
        try:
            content = self._taking.recv(_PLACED.size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        return Placed(*_PLACED.unpack(content))


class Inbox:
    """The parent's side."""

    def __init__(self, taking: socket.socket, channel: Channel) -> None:
        self._taking, self._channel = taking, channel
        self._ring: Mapped | None = None

    def fileno(self) -> int:
        """Readable when there is something to take."""
        return self._taking.fileno()

    def take(self) -> tuple[Frame, Placed] | None:
        """A frame, ours to draw on, and where it lies; None when there is none, or nobody to give one."""
        flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        try:
            content, beside, _, _ = self._taking.recvmsg(_PLACED.size, _BESIDE_BYTES, flags)
        except OSError:
            return None
        if not content:
            return None
        placed = Placed(*_PLACED.unpack(content))
        for _, _, packed in beside:
            self._ring = _mapped(_FD.unpack(packed)[0], placed, self._channel)
        assert self._ring is not None, "the first message of a ring brings its memory"
        return self._ring.frame(placed.slot, placed.height, placed.width), placed


def _mapped(fd: int, placed: Placed, channel: Channel) -> Mapped:
    try:
        return Mapped(fd, placed.ring, placed.slots, placed.slot_bytes, channel)
    finally:
        os.close(fd)
