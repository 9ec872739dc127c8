"""What every request goes through before anything looks at it, and what every answer carries.

GET is all there is, unless the page may teach: what changes something then is one of a few paths, comes as
POST, and must show more than this, see `changes`.
"""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgecam.web.changes import Changes, Refusal
from edgecam.web.limits import Failures, Full, Places, Rates
from edgecam.web.token import Token

LONGEST_TARGET: Final = 2048  # characters of path and query
LONGEST_HEAD: Final = 8 << 10  # bytes of headers
OPEN: Final = frozenset({"/page/style.css", "/favicon.svg"})  # what the form that asks for the token needs
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' blob:; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Door(NamedTuple):
    """What the guard knows about this server."""

    loopback: bool
    cookie: str  # the cookie's name; ports share cookies, so the port is in it
    token: Token | None
    rates: Rates
    failures: Failures
    guessing: Places  # wrong tokens whose answer waits
    refused: Counter[str]  # by `Refusal.why`
    changes: Changes | None = None  # None: nothing can be changed


class Guard:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp, door: Door, ask: Callable[[], Response]) -> None:
        """`ask` gives the page with the form for the token."""
        self._app, self._door, self._ask = app, door, ask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._instead(scope, Headers(scope=scope))
        try:
            await (answer or self._app)(scope, receive, _with_headers(send))
        except Exception:
            self._door.refused["error"] += 1
            raise

    async def _instead(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer, if the request must not go on."""
        refusal = self._judge(scope, headers)
        if refusal is not None:
            self._door.refused[refusal.why] += 1
            return _refused(refusal)
        if self._door.token is None or scope["path"] in OPEN:
            return None
        return await self._unlock(self._door.token, scope, headers)

    def _judge(self, scope: Scope, headers: Headers) -> Refusal | None:
        if not self._door.rates.allow(_address(scope)):
            return Refusal("rate", 429, "Too many requests. Wait a moment.")
        changes = self._door.changes
        if changes is None or not changes.allow(scope):
            return _improper(scope, headers) or self._elsewhere(scope, headers)
        return (
            _too_long(scope, headers)
            or changes.improper(scope, headers)
            or self._elsewhere(scope, headers)
            or changes.untrusted(headers, _address(scope), bearer=self._shows_token(headers))
        )

    def _shows_token(self, headers: Headers) -> bool:
        """Whether the request itself brings the token, which no page can make a browser do."""
        given = _bearer(headers)
        return self._door.token is not None and given is not None and self._door.token.matches(given)

    def _elsewhere(self, scope: Scope, headers: Headers) -> Refusal | None:
        # A page elsewhere whose name was made to point here (DNS rebinding) still sends its own name.
        if self._door.loopback and not _names_loopback(headers.get("host", "")):
            return Refusal("host", 403, "Ask for this page as localhost, 127.0.0.1 or [::1].")
        if _foreign(scope, headers):
            return Refusal("origin", 403, "Another page may not use this one.")
        return None

    async def _unlock(self, token: Token, scope: Scope, headers: Headers) -> Response | None:
        bearer, asked = _bearer(headers), _token_in_address(scope)
        for given in (bearer, asked):
            if given is not None and not token.matches(given):
                return await self._wrong(scope)
        if asked is not None:
            return self._welcome(token)
        if bearer is not None or token.matches_cookie(_cookie(headers, self._door.cookie)):
            return None
        self._door.refused["no token"] += 1
        return self._locked(scope)

    async def _wrong(self, scope: Scope) -> Response:
        """The answer to a guess, late. A right token is never kept waiting, from wherever it comes."""
        self._door.refused["token"] += 1
        delay = self._door.failures.delay(_address(scope))
        try:
            # Few wait at once, so that guesses cannot hold all the connections there are.
            with self._door.guessing.one():
                await asyncio.sleep(delay)
        except Full:
            return _refused(Refusal("token", 429, "Too many wrong tokens. Wait a moment."))
        return self._locked(scope)

    def _welcome(self, token: Token) -> Response:
        """Puts the token's cookie into the browser and leaves the token out of the address."""
        answer = PlainTextResponse("", 303, {"Location": "/"})
        answer.set_cookie(
            self._door.cookie, token.cookie, max_age=30 * 86400, httponly=True, samesite="strict"
        )
        return answer

    def _locked(self, scope: Scope) -> Response:
        if scope["path"] == "/":
            answer = self._ask()
        else:
            answer = PlainTextResponse("This needs the token: send `Authorization: Bearer TOKEN`.\n", 401)
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer


def _improper(scope: Scope, headers: Headers) -> Refusal | None:
    """What is no request of the kind that is answered here."""
    if scope["method"] != "GET":
        return Refusal("method", 405, "Only GET is answered here.")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        return Refusal("body", 413, "A request here has no body.")
    return _too_long(scope, headers)


def _too_long(scope: Scope, headers: Headers) -> Refusal | None:
    """What is no HTTP of the kind that is spoken here, or too much of it."""
    if scope["http_version"] not in ("1.0", "1.1"):
        return Refusal("version", 505, "HTTP/1.1 is spoken here.")
    if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_TARGET:
        return Refusal("length", 414, "The address is too long.")
    # The parser counts only what has not arrived completely, so a head in one piece is counted here.
    if sum(len(name) + len(value) for name, value in scope["headers"]) > LONGEST_HEAD:
        return Refusal("length", 431, "The headers are too long.")
    return None


def _refused(refusal: Refusal) -> Response:
    answer = PlainTextResponse(refusal.words + "\n", refusal.status, {"Connection": "close"})
    if refusal.status == 405:
        answer.headers["Allow"] = "GET"
    if refusal.status == 429:
        answer.headers["Retry-After"] = "1"
    return answer


def _bearer(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _token_in_address(scope: Scope) -> str | None:
    """The form's answer. It counts at `/` only, from where the browser is sent on to `/` without it."""
    if scope["path"] != "/" or b"token=" not in scope["query_string"]:
        return None
    query = parse_qs(scope["query_string"].decode("latin-1"), errors="replace")
    return query["token"][0].strip() if "token" in query else None


def _cookie(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _foreign(scope: Scope, headers: Headers) -> bool:
    """Whether another page made the browser ask. Following a link to `/` is all that it may."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return not (scope["path"] == "/" and headers.get("sec-fetch-dest") == "document")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()


def _names_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _address(scope: Scope) -> str:
    return str(scope["client"][0]) if scope.get("client") else ""


def _with_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
