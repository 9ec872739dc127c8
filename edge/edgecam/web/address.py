"""Where the page is served: from words to a bound socket, and whether only this machine can reach it."""

import errno
import ipaddress
import re
import socket
from typing import Final, NamedTuple

from edgecam_engines.errors import OutputError

HERE: Final = "127.0.0.1"
_SEND_BUFFER: Final = 64 << 10  # bytes; the kernel's own choice would hold seconds of old pictures
_WRITTEN: Final = re.compile(
    r"(?:(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:/@\[\]]*)):)?(?P<port>[0-9]{1,5})"
)


class Written(NamedTuple):
    """An address as somebody wrote it; nobody was asked yet where it lies."""

    host: str  # a name or an IP address without brackets
    port: int  # 0: any free one

    @property
    def here(self) -> bool:
        """Whether it says by itself that only this machine reaches it."""
        return self.host == "localhost" or (_is_ip(self.host) and ipaddress.ip_address(self.host).is_loopback)


class Address(NamedTuple):
    """A resolved address to listen on."""

    host: str  # an IP address
    port: int  # 0: any free one
    family: int
    loopback: bool  # only this machine reaches it


def read_address(text: str) -> Written:
    """`127.0.0.1:8080`, `[::1]:8080`, `name:8080`; without a host it is loopback. Raises OutputError."""
    found = _WRITTEN.fullmatch(text)
    if found is None or int(found["port"]) > 65535 or not (found["v6"] is None or _is_ip(found["v6"])):
        raise OutputError(
            f"--serve {text!r} is no address and port.\n"
            f"Write one of: --serve 127.0.0.1:8080, --serve :8080, --serve '[::1]:8080', --serve 0.0.0.0:8080"
        )
    return Written(found["v6"] or found["host"] or HERE, int(found["port"]))


def parse_address(text: str) -> Address:
    """As `read_address`, and where it lies. Raises OutputError."""
    return _resolved(*read_address(text))


def listen(address: Address) -> socket.socket:
    """A listening socket, so that a port in use is known before the camera is opened. Raises OutputError."""
    # The protocol is named because asyncio turns off Nagle's algorithm only where it is: 40 ms an answer.
    server = socket.socket(address.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        _notice_the_dead(server)
        server.bind((address.host, address.port))
        server.listen(64)
    except OSError as error:
        server.close()
        raise OutputError(_sorry(address, error)) from error
    return server


def _resolved(host: str, port: int) -> Address:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that no DNS can hold
        raise OutputError(
            f"The page cannot be served at {host!r}: {error}.\n"
            f"Use an address of this machine (`ip addr` lists them), or --serve 127.0.0.1:{port}"
        ) from error
    family, _, _, _, where = found[0]
    ip = str(where[0])
    return Address(ip, port, family, ipaddress.ip_address(ip).is_loopback)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _notice_the_dead(server: socket.socket) -> None:
    """A viewer whose network vanished is let go after half a minute. Accepted sockets inherit all this."""
    server.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            server.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _sorry(address: Address, error: OSError) -> str:
    where = f"{address.host}:{address.port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"The page cannot be served at {where}: another program uses this port.\n"
            f"`ss -ltnp` says which one. Or take another: --serve {address.host}:{address.port + 1}"
        )
    if error.errno == errno.EACCES:
        return (
            f"The page cannot be served at {where}: ports below 1024 belong to the administrator.\n"
            f"Take another: --serve {address.host}:8080"
        )
    return (
        f"The page cannot be served at {where}: {error.strerror or error}.\n"
        f"`ip addr` lists this machine's addresses. For this machine alone: --serve 127.0.0.1:{address.port}"
    )
