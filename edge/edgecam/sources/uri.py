"""A camera's URI, taken apart: where the source is, and what is asked of it.

Devices, files and tests take their options after `?`. In a URL of the network the query belongs to the
camera, so ours stand after `#`, which no server ever sees: rtsp://camera/1?channel=2#transport=udp.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from edgecam.sources.hiding import printable
from edgecam_engines.errors import SourceError

_SCHEME: Final = re.compile(r"(?i)([a-z][a-z0-9+.-]*)://")
_OPTIONS: Final = re.compile(r"[A-Za-z_][\w-]*=[^&]*(&[A-Za-z_][\w-]*=[^&]*)*")
_ENCODE: Final = (
    "If the password holds one of / ? # @ or :, write it as %2F %3F %23 %40 or %3A. A port is 1 to 65535."
)


class Parts(NamedTuple):
    """A URI without its options."""

    where: str
    options: Mapping[str, str]  # decoded


class Address(NamedTuple):
    """A URL of the network. `url` may hold a password, `name` never does."""

    url: str  # as the camera's server gets it
    name: str
    host: str
    port: int
    user: str | None  # decoded
    password: str | None
    options: Mapping[str, str]


def scheme_of(uri: str) -> str:
    """What stands before ://, in small letters; "" without one. `gst:` needs no slashes."""
    found = _SCHEME.match(uri)
    if found:
        return found[1].lower()
    return "gst" if uri[:4].lower() == "gst:" else ""


def split_path(text: str) -> Parts:
    """A path and its options. A file whose name holds a ? is itself, with or without options behind it."""
    front, question, behind = text.rpartition("?")
    if not question or exists(text) or not _OPTIONS.fullmatch(behind):
        return Parts(text, {})
    return Parts(front, _pairs(behind, text))


def split_scheme(uri: str) -> Parts:
    """What stands between `scheme://` and the options. Percent signs are decoded in both."""
    front, question, behind = uri.partition("?")
    return Parts(unquote(front.partition("://")[2]), _pairs(behind, uri) if question else {})


def split_url(uri: str, ports: Mapping[str, int]) -> Address:
    """A URL of the network; `ports` are the usual ones by scheme. Raises SourceError, with no password."""
    credentials, at, rest = uri.rpartition("@")
    front, _, behind = rest.partition("#")
    url = f"{credentials}{at}{front}"
    name = printable(url)
    parts, port = _network_parts(url, name)
    if not parts.hostname:
        raise SourceError(f"{name} names no camera. Write {scheme_of(uri)}://USER:PASSWORD@ADDRESS/PATH.")
    return Address(
        url,
        name,
        parts.hostname,
        port or ports[parts.scheme.lower()],
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
        _pairs(behind, name) if behind else {},
    )


def exists(path: str) -> bool:
    """Whether something is at this path; False for what can be no path at all."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long for a name, or with a zero byte in it
        return False


def nearest(word: str, known: list[str]) -> str:
    """A question that helps with a typing mistake, or nothing."""
    close = get_close_matches(word.lower(), known, n=1)
    return f" Did you mean {close[0]}?" if close else ""


def _network_parts(url: str, name: str) -> tuple[SplitResult, int | None]:
    # Python's own words for what is wrong quote the password, so they are never passed on.
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SourceError(f"{name} is not a URL: its host or port cannot be read.\n{_ENCODE}") from None
    # An @ behind the host is a password with a / ? or # in it, and what looks like the host is the user.
    if ("@" in url and "@" not in parts.netloc) or "@" in parts.path + parts.query + parts.fragment:
        raise SourceError(f"{name} is not a URL: an @ stands behind the host.\n{_ENCODE}")
    if any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
        raise SourceError(f"{name} is not a URL: it holds a blank or a control character. Write %20 for one.")
    return parts, port


def _pairs(text: str, uri: str) -> dict[str, str]:
    """name=value&name=value, decoded. Raises SourceError."""
    found: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, equals, value = part.partition("=")
        if not equals:
            raise SourceError(f"{printable(uri)}: an option is written name=value, and one has no = in it.")
        if name in found:
            raise SourceError(f"{printable(uri)}: {name} is given twice. Keep one.")
        found[name] = unquote(value)
    return found
