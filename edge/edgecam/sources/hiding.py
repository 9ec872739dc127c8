"""Nothing that a person reads may hold a password: names, messages, and what other programs print."""

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode

_MASK: Final = "***"
# Up to the last @ of the word: passwords hold colons, slashes and even @ signs.
_CREDENTIALS: Final = re.compile(r"(://)[^\s'\"<>]*@")
_NAMED: Final = re.compile(
    r"(?i)([\w.%-]*(?:pass|pwd|pw\b|user|usr|login|token|secret|key|auth|sig|sid)[\w-]*\s*[=:]\s*)"
    r"(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s&;,!]+)"
)
# What tells one camera from another. Every other value of a query may be a key.
_VISIBLE: Final = frozenset(
    {"channel", "subtype", "stream", "profile", "camera", "resolution", "width", "height", "fps", "quality"}
)


def hide(text: str) -> str:
    """Any text without what follows `password=` and its like, and without users before an @ in a URL."""
    return _NAMED.sub(rf"\g<1>{_MASK}", _CREDENTIALS.sub(rf"\g<1>{_MASK}@", text))


def printable(url: str) -> str:
    """A URL of the network as it may be printed: no user, no password, no key in its query."""
    front, question, rest = _CREDENTIALS.sub(rf"\g<1>{_MASK}@", url).partition("?")
    if not question:
        return hide(front.partition("#")[0])
    query = rest.partition("#")[0]
    pairs = parse_qsl(query, keep_blank_values=True)
    shown = urlencode([(key, value) if key.lower() in _VISIBLE else (key, _MASK) for key, value in pairs])
    return f"{hide(front)}?{shown.replace('%2A', '*') if pairs else _MASK}"
