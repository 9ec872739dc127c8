"""Whether a text has the form that a setting asks for."""

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from edgecam.decisions.smooth import open_smoother
from edgecam.decisions.thresholds import parse_levels
from edgecam.mqtt.address import parse_broker
from edgecam_engines.errors import EdgecamError
from edgecam_engines.taught.versions import check_name

_NUMBER: Final = r"\d*\.?\d+(?:e[+-]?\d+)?"
_DECIMAL: Final = re.compile(r"\d*\.?\d+")
_UNIT: Final = "(?:s|min|h|day)"
_RULE: Final = re.compile(
    rf"(?P<label>.+)>\s*(?P<rate>{_NUMBER})\s*/\s*{_UNIT}(?:\s+in\s+{_NUMBER}\s*{_UNIT})?"
    rf"(?:\s*@\s*p\s*<\s*(?P<p>{_NUMBER}))?"
)
_ADDRESS: Final = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]*):)?(?P<port>[0-9]{1,5})")
# Up to the last @: passwords hold slashes, colons and even @ signs.
_PASSWORD: Final = re.compile(
    r"(?i)[a-z][a-z0-9+.-]*://(\S*:\S*@|\S*[?&#][^=&\s]*(pass|pwd|token|secret|key|auth)[^=&\s]*=)"
)


def numbers(text: str, separator: str) -> list[float]:
    """The numbers of a text, in plain decimals; none at all when one of its parts is none."""
    parts = [part.strip() for part in text.split(separator)]
    return [float(part) for part in parts] if all(map(_DECIMAL.fullmatch, parts)) else []


def is_head_name(text: str) -> bool:
    """A name that a taught class head can have."""
    try:
        check_name(text)
    except EdgecamError:
        return False
    return True


def is_roi(text: str) -> bool:
    """left,top,width,height: pixels, or parts of a frame where none is above 1."""
    found = numbers(text, ",")
    if len(found) != 4:
        return False
    left, top, width, height = found
    begins_inside = max(found) > 1 or (left < 1 and top < 1)
    return width > 0 and height > 0 and begins_inside


def is_smoothing(text: str) -> bool:
    """none, ema:WEIGHT or consensus:K/N."""
    return _is_read(open_smoother, text)


def is_hysteresis(text: str) -> bool:
    """ON or ON/OFF, shares with OFF not above ON."""
    return _is_read(lambda levels: parse_levels(levels, "thresholds"), text)


def is_alarm(text: str) -> bool:
    """CLASS > RATE/UNIT, where wanted with `in WINDOW` and `@ p<CHANCE` behind it."""
    rule = _RULE.fullmatch(text.strip())
    if rule is None or not rule["label"].strip():
        return False
    return float(rule["rate"]) > 0 and 0 < float(rule["p"] or 0.5) < 1


def is_address(text: str) -> bool:
    """HOST:PORT, an IPv6 address in brackets; :PORT or PORT is this machine alone."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        return False
    host = found["host"] or ""
    return not host.startswith("[") or _is_ip(host.strip("[]"))


def is_loopback(address: str) -> bool:
    """Whether HOST:PORT can be reached from this machine only."""
    host = address.rpartition(":")[0].strip("[]")
    return host in {"", "localhost"} or (_is_ip(host) and ip_address(host).is_loopback)


def is_broker(text: str) -> bool:
    """mqtt:// or mqtts:// with a host; never with a password."""
    return not re.search(r"\s", text) and _is_read(parse_broker, text)


def holds_password(uri: str) -> bool:
    """Whether user:password@ stands in it, or a query with something like one; rather too often yes."""
    return _PASSWORD.match(uri) is not None


def holds_scheme(uri: str) -> bool:
    """Whether it begins as a URI does, so that it names no file here."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|gst:", uri, re.IGNORECASE) is not None


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_read(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except EdgecamError:
        return False
    return True
