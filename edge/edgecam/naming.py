"""Names of cameras and classes in files and topics; different ones (almost surely) stay different."""

import hashlib
import re
import unicodedata
from typing import Final

LONGEST: Final = 64  # characters, before the mark


def slug(name: str, default: str = "camera") -> str:
    """A name for files and identifiers: letters, digits, `-` and `_` of ASCII alone."""
    return _marked(re.sub(r"[^A-Za-z0-9_-]+", "_", name), name, default)


def topic_level(name: str, default: str = "camera") -> str:
    """A name as one level of an MQTT topic: no `+`, `#` or `/`, nothing that a broker may refuse.

    Control characters, half pairs and unassigned code points are refused by some brokers, which then close
    the connection. MQTT 3.1.1, 1.5.3 and 4.7.
    """
    clean = "".join("_" if c in "+#/" or unicodedata.category(c)[0] == "C" else c for c in name)
    return _marked(clean, name, default)


def _marked(clean: str, name: str, default: str) -> str:
    """The clean name; if anything was changed, with four digits of the real one's hash behind it."""
    if not name:
        return default
    short = re.sub("_{2,}", "_", clean)[:LONGEST].strip("_ ")
    if short == name:
        return short
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:4]
    return f"{short or default}-{mark}"
