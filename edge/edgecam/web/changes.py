"""What a request that changes something must bring, and how its body is read.

A browser sends such a request for this page alone:
- `Origin` says so, and `Sec-Fetch-Site` where it is sent. A program that shows the token needs neither.
- It brings the key of this start of the server in a header of its own. Only what `/api/teach` answers holds
  the key, which no other page can read; and no form, picture or link sends such a header.
- It says that it is JSON and how long it is, which a form cannot either.
"""

import asyncio
import hmac
import json
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from edgecam.web.limits import Rates

KEY: Final = "x-edgecam-key"
LONGEST_BODY: Final = 2048  # bytes; a class's name has 120 at most
BODY_S: Final = 3.0  # for the body to arrive
PER_S: Final = 10.0  # changes from one address
BURST: Final = 30


class Refusal(NamedTuple):
    """Why a request is not answered."""

    why: str  # a word, counted in the metrics
    status: int
    words: str


class Changes(NamedTuple):
    """Which requests may change something, and what they must show."""

    paths: frozenset[str]
    key: str
    rates: Rates

    def allow(self, scope: Scope) -> bool:
        """Whether this is a request to change something that there is."""
        return scope["method"] == "POST" and scope["path"] in self.paths

    def improper(self, scope: Scope, headers: Headers) -> Refusal | None:
        """What is wrong with its form."""
        length = headers.get("content-length", "")
        if "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
            return Refusal("body", 411, "Say how long the body is.")
        if len(length) > 9 or not 0 < int(length) <= LONGEST_BODY:
            return Refusal("body", 413, f"A body here has 1 to {LONGEST_BODY} bytes.")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return Refusal("body", 415, "A body here is application/json.")
        return None

    def untrusted(self, headers: Headers, address: str, *, bearer: bool) -> Refusal | None:
        """Why this may come from another page; `bearer` when the request itself shows the token."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site not in (None, "same-origin"):
            return Refusal("origin", 403, "Another page may not change anything here.")
        if not _is_own(origin, headers.get("host", "")) and not (origin is None and bearer):
            return Refusal("origin", 403, "A change must come from this page.")
        if not hmac.compare_digest(
            headers.get(KEY, "").encode("utf-8", "surrogateescape"), self.key.encode()
        ):
            return Refusal("key", 403, "This page is of another start of the program. Load it again.")
        if not self.rates.allow(address):
            return Refusal("rate", 429, "Too many changes. Wait a moment.")
        return None


async def read_body(request: Request) -> dict[str, Any]:
    """The JSON object of a request that has passed the guard. Raises HTTPException."""
    try:
        body = await asyncio.wait_for(_whole(request), BODY_S)
    except asyncio.TimeoutError:
        raise HTTPException(408, "The body did not arrive.") from None
    except ClientDisconnect:
        raise HTTPException(400, "The body did not arrive.") from None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body is no JSON.") from None
    if not isinstance(found, dict):
        raise HTTPException(400, "The body is no JSON object.")
    return found


async def _whole(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_BODY:
            raise HTTPException(413, "The body is too long.")
    return body


def _is_own(origin: str | None, host: str) -> bool:
    """Whether an origin is this server, as the browser calls it."""
    try:
        parts = urlsplit(origin or "")
    except ValueError:
        return False
    named = parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower() != ""
    return named and not (parts.path or parts.query or parts.fragment)
