"""The secret that any address but loopback asks for: where it comes from, and how it is compared."""

import hashlib
import hmac
import shlex
import stat
from pathlib import Path
from typing import Final

from edgecam.web.address import Address
from edgecam_engines.errors import OutputError
from edgecam_engines.files import read_limited

SHORTEST: Final = 16  # characters; what the advice makes has 43
LONGEST: Final = 1024


class Token:
    """Compares in constant time. The cookie holds a value made from the token, never the token."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self.cookie = hmac.new(self._secret, b"edgecam cookie", hashlib.sha256).hexdigest()

    def matches(self, given: str) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._secret)

    def matches_cookie(self, given: str) -> bool:
        """Whether this is the value that a browser was given for the token."""
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self.cookie.encode())


def read_token(path: Path | None, address: Address) -> Token | None:
    """The token to ask for; None where none is needed. Raises OutputError with what to type."""
    if path is None:
        if address.loopback:
            return None
        raise OutputError(
            f"{address.host} can be reached by other machines, so the page needs a token.\n"
            f"Make one:\n    {_make('token')}\nand add: --token-file token"
        )
    try:
        others = path.stat().st_mode & stat.S_IRWXO
        secret = read_limited(path, LONGEST).decode("ascii").strip()
    except FileNotFoundError:
        raise _refused(path, "is not there") from None
    except UnicodeDecodeError:
        raise _refused(path, "holds more than plain letters, digits and signs") from None
    except (OSError, ValueError) as error:
        raise _refused(path, f"cannot be read ({error})") from error
    if others:
        raise OutputError(
            f"The token file {path} can be opened by everybody on this machine.\n"
            f"Close it:\n    chmod 600 {shlex.quote(str(path))}"
        )
    if not secret:
        raise _refused(path, "is empty")
    if len(secret) < SHORTEST or not secret.isprintable() or " " in secret:
        raise _refused(path, f"holds no single word of at least {SHORTEST} characters")
    return Token(secret)


def _refused(path: Path, why: str) -> OutputError:
    return OutputError(f"The token file {path} {why}.\nMake one:\n    {_make(shlex.quote(str(path)))}")


def _make(name: str) -> str:
    return f"python3 -c 'import secrets; print(secrets.token_urlsafe(32))' > {name} && chmod 600 {name}"
