"""Whether a text has the form that a setting asks for: whether whoever will read it can."""

import re
from collections.abc import Callable
from typing import Final

from edgecam.decisions.rules import read_rule
from edgecam.decisions.smooth import open_smoother
from edgecam.decisions.thresholds import parse_levels
from edgecam.loop.region import parse_region
from edgecam.mqtt.address import parse_broker
from edgecam.web.address import read_address
from edgecam_engines.errors import EdgecamError
from edgecam_engines.taught.versions import check_name

# Up to the last @: passwords hold slashes, colons and even @ signs.
_PASSWORD: Final = re.compile(
    r"(?i)[a-z][a-z0-9+.-]*://(\S*:\S*@|\S*[?&#][^=&\s]*(pass|pwd|token|secret|key|auth)[^=&\s]*=)"
)


def is_head_name(text: str) -> bool:
    """A name that a taught class head can have."""
    try:
        check_name(text)
    except EdgecamError:
        return False
    return True


def is_roi(text: str) -> bool:
    """left,top,width,height: pixels, or parts of a frame where none is above 1."""
    return _is_read(parse_region, text)


def is_smoothing(text: str) -> bool:
    """none, ema:WEIGHT or consensus:K/N."""
    return _is_read(open_smoother, text)


def is_hysteresis(text: str) -> bool:
    """ON or ON/OFF, shares with OFF not above ON."""
    return _is_read(lambda levels: parse_levels(levels, "thresholds"), text)


def is_alarm(text: str) -> bool:
    """CLASS > RATE/UNIT, where wanted with `in WINDOW` and `@ p<CHANCE` behind it; of any class."""
    return _is_read(read_rule, text)


def is_address(text: str) -> bool:
    """HOST:PORT, an IPv6 address in brackets; :PORT or PORT is this machine alone."""
    return _is_read(read_address, text)


def is_broker(text: str) -> bool:
    """mqtt:// or mqtts:// with a host; never with a password."""
    return not re.search(r"\s", text) and _is_read(parse_broker, text)


def holds_password(uri: str) -> bool:
    """Whether user:password@ stands in it, or a query with something like one; rather too often yes."""
    return _PASSWORD.match(uri) is not None


def holds_scheme(uri: str) -> bool:
    """Whether it begins as a URI does, so that it names no file here."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|gst:", uri, re.IGNORECASE) is not None


def _is_read(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except EdgecamError:
        return False
    return True
