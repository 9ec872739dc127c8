"""Nothing that a person reads may hold a password: names, messages, and what other programs print."""

import re
from typing import Final

_MASK: Final = "***"
# Up to the last @: passwords hold colons, slashes, quotes and even @ signs. In a text, of one word.
_WHOLE: Final = re.compile(r"(?s)^([^:/]*://).*@")
_IN_TEXT: Final = re.compile(r"(://)\S*@")
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
    return _NAMED.sub(rf"\g<1>{_MASK}", _IN_TEXT.sub(rf"\g<1>{_MASK}@", text))


def printable(url: str) -> str:
    """A URL of the network as it may be printed: no user, no password, no key in its query."""
    front, question, query = _WHOLE.sub(rf"\g<1>{_MASK}@", url).partition("#")[0].partition("?")
    return hide(front) + (f"?{'&'.join(map(_shown, query.split('&')))}" if question else "")


def _shown(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    if not equals:
        return _MASK
    return pair if name.lower() in _VISIBLE else f"{name}={_MASK}"
