"""Where the broker is and who we are to it, read from one URI that never holds a password."""

from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from edgecam_engines.errors import OutputError

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
PREFIX: Final = "edgecam"
TRY: Final = "Try: --mqtt mqtt://user@host:1883/edgecam (mqtts:// for TLS)."


class Broker(NamedTuple):
    """A broker and the topics below which we publish."""

    host: str
    port: int
    tls: bool
    user: str | None
    prefix: str  # of all topics, without slashes at its ends

    @property
    def name(self) -> str:
        """For messages to people."""
        return f"{self.host}:{self.port}"


def parse_broker(uri: str) -> Broker:
    """`mqtt://user@host:1883/prefix` or `mqtts://...`. Raises OutputError, which never repeats a password."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise OutputError(f"The address of the MQTT broker cannot be read: {error}.\n{TRY}") from error
    if parts.password is not None:
        raise OutputError(
            "The address of the MQTT broker holds a password, and everybody can see a command line.\n"
            "Put the password into a file that only you can read and name that: --mqtt-password-file FILE,\n"
            "or into the environment: EDGECAM_MQTT_PASSWORD. Leave `:password` out of the address."
        )
    if parts.scheme not in PORTS or not parts.hostname or port == 0:
        raise OutputError(f"{uri!r} is not the address of an MQTT broker.\n{TRY}")
    if parts.query or parts.fragment:
        raise OutputError(f"An MQTT address has no part behind `?` or `#`: {uri!r}.\n{TRY}")
    prefix = unquote(parts.path).strip("/") or PREFIX
    if any(c in prefix for c in "+#\0") or "//" in prefix or prefix.startswith("$"):
        raise OutputError(
            f"{prefix!r} cannot begin topics: `+` and `#` are wildcards, `$` is the broker's own, a level "
            f"needs a name.\n{TRY}"
        )
    user = unquote(parts.username) if parts.username else None
    return Broker(parts.hostname, port or PORTS[parts.scheme], parts.scheme == "mqtts", user, prefix)
