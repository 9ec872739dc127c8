"""What the two processes say to each other: one short message at a time, and file descriptors beside them."""

import json
import select
import socket
import struct
from typing import Any, Final, NamedTuple

LONGEST: Final = 32 << 10  # bytes of a message; a socket buffer holds several
_WORDS: Final = 4000  # characters of one text in it
_PLACED: Final = struct.Struct("=cBBIIQd")
_RING: Final = struct.Struct("=cBBQ")
_FREED: Final = struct.Struct("=cBB")


class Closed(Exception):
    """Nobody is at the other end any more."""


class Placed(NamedTuple):
    """The child: a slot holds a frame, which is the parent's from now on."""

    ring: int  # which ring, modulo 256
    slot: int
    height: int
    width: int
    number: int  # counts every frame that this process grabbed, from 0
    captured: float  # on the monotonic clock, which all processes of a machine share


class Ring(NamedTuple):
    """The child: frames come in this memory from now on."""

    ring: int
    slots: int
    slot_bytes: int
    fd: int = -1


class Freed(NamedTuple):
    """The parent: a slot is the child's again."""

    ring: int
    slot: int


class Told(NamedTuple):
    """Everything else, in JSON."""

    what: str  # parent: "read"; child: "opened", "failed", "lost", "ended", "broken", "say"
    about: dict[str, Any]

    @property
    def words(self) -> str:
        """What a person is told of it."""
        return str(self.about.get("words", ""))


Message = Placed | Ring | Freed | Told


class Channel:
    """One end. Messages are kept apart and in order by the kernel; sending never waits."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)

    def send(self, message: Message) -> None:
        """Raises Closed. What fills the other end's buffer (nobody reads there) is lost as well."""
        fds = [message.fd] if isinstance(message, Ring) else []
        try:
            socket.send_fds(self._end, [_packed(message)], fds, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError as error:
            raise Closed from error

    def receive(self, timeout: float = 0.0) -> Message | None:
        """The next message, None after `timeout` seconds without one. Raises Closed after the last."""
        try:
            if not self._poll.poll(max(0.0, timeout) * 1e3):
                return None
            content, fds = self._received()
        except BlockingIOError:
            return None
        except OSError as error:
            raise Closed from error
        if not content:
            raise Closed
        return _unpacked(content, fds)

    def _received(self) -> tuple[bytes, list[int]]:
        flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        try:
            return socket.recv_fds(self._end, LONGEST, 1, flags)[:2]
        except ConnectionResetError:
            # Told once, and first, when the other end died without reading; its last messages are still here.
            return socket.recv_fds(self._end, LONGEST, 1, flags)[:2]

    def hang_up(self) -> None:
        """Wake whoever waits at either end. Safe from any thread, and twice."""
        try:
            self._end.shutdown(socket.SHUT_RDWR)
        except OSError:  # it is closed already
            return

    def close(self) -> None:
        """Nobody may wait in `receive` any more."""
        self._end.close()


def told(what: str, words: str = "", **about: Any) -> Told:
    """A message in JSON, cut to what fits into one."""
    return Told(what, {"words": words[:_WORDS], **about})


def _packed(message: Message) -> bytes:
    if isinstance(message, Placed):
        return _PLACED.pack(b"P", *message)
    if isinstance(message, Ring):
        return _RING.pack(b"R", message.ring, message.slots, message.slot_bytes)
    if isinstance(message, Freed):
        return _FREED.pack(b"F", *message)
    return b"T" + json.dumps(message).encode()


def _unpacked(content: bytes, fds: list[int]) -> Message:
    kind = content[:1]
    if kind == b"P":
        return Placed(*_PLACED.unpack(content)[1:])
    if kind == b"R":
        _, ring, slots, slot_bytes = _RING.unpack(content)
        return Ring(ring, slots, slot_bytes, fds[0])
    if kind == b"F":
        return Freed(*_FREED.unpack(content)[1:])
    return Told(*json.loads(content[1:]))
