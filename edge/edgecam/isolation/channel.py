"""What the two processes say to each other, apart from frames: one short message at a time."""

import json
import select
import socket
import struct
from typing import Any, Final, NamedTuple

LONGEST: Final = 32 << 10  # bytes of a message; a socket buffer holds several
_WORDS: Final = 4000  # characters of one text in it
_BEAT: Final = struct.Struct("=cQd")
_FREED: Final = struct.Struct("=cBB")


class Closed(Exception):
    """Nobody is at the other end any more."""


class End(socket.socket):
    """One end of a pair, closed with the last reference to it: a frame's end may have to tell at any time."""

    def __del__(self) -> None:
        self.close()


class Beat(NamedTuple):
    """The child: frames come."""

    captured: int  # frames that came to this process so far
    at: float  # when the last of them was captured, on the monotonic clock, which all processes share


class Freed(NamedTuple):
    """The parent: a slot is the child's again."""

    ring: int  # modulo 256
    slot: int


class Told(NamedTuple):
    """Everything else, in JSON."""

    what: str  # parent: "read"; child: "opening", "opened", "failed", "lost", "ended", "broken", "say"
    about: dict[str, Any]

    @property
    def words(self) -> str:
        """What a person is told of it."""
        return str(self.about.get("words", ""))


Message = Beat | Freed | Told


class Channel:
    """One end. Messages are kept apart and in order by the kernel; sending never waits."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)

    def send(self, message: Message) -> None:
        """Raises Closed. What fills the other end's buffer (nobody reads there) is lost as well."""
        try:
            self._end.send(_packed(message), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError as error:
            raise Closed from error

    def receive(self, timeout: float = 0.0) -> Message | None:
        """The next message, None after `timeout` seconds without one. Raises Closed after the last."""
        try:
            if timeout > 0 and not self._poll.poll(timeout * 1e3):
                return None
            content = received(self._end)
        except BlockingIOError:
            return None
        except OSError as error:
            raise Closed from error
        if not content:
            raise Closed
        return _unpacked(content)

    def hang_up(self) -> None:
        """Wake whoever waits at either end. Safe from any thread, and twice."""
        try:
            self._end.shutdown(socket.SHUT_RDWR)
        except OSError:  # the other end did already
            return


def pair() -> tuple[End, End]:
    """Two ends between which messages stay apart."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return End(fileno=one.detach()), End(fileno=other.detach())


def told(what: str, words: str = "", **about: Any) -> Told:
    """A message in JSON, cut to what fits into one."""
    return Told(what, {"words": words[:_WORDS], **about})


def received(end: socket.socket) -> bytes:
    """A message that is there, or raises BlockingIOError; empty when the other end is closed."""
    try:
        return end.recv(LONGEST, socket.MSG_DONTWAIT)
    except ConnectionResetError:
        # Told once, and first, when the other end died without reading; its last messages are still here.
        return end.recv(LONGEST, socket.MSG_DONTWAIT)


def _packed(message: Message) -> bytes:
    if isinstance(message, Beat):
        return _BEAT.pack(b"B", *message)
    if isinstance(message, Freed):
        return _FREED.pack(b"F", *message)
    return b"T" + json.dumps(message).encode()


def _unpacked(content: bytes) -> Message:
    kind = content[:1]
    if kind == b"B":
        return Beat(*_BEAT.unpack(content)[1:])
    if kind == b"F":
        return Freed(*_FREED.unpack(content)[1:])
    return Told(*json.loads(content[1:]))
