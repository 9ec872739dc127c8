"""A connection to a camera that speaks HTTP: Basic or Digest passwords, redirects, no proxy, time limits."""

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPBasicAuthHandler,
    HTTPDefaultErrorHandler,
    HTTPDigestAuthHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPPasswordMgrWithDefaultRealm,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
)

from edgecam.sources.uri import Address
from edgecam_engines.errors import SourceError

_STATUS: Final = {
    401: "refuses the user or the password. Write them as http://USER:PASSWORD@ADDRESS/PATH",
    403: "does not let this user see the stream. Check the user's rights on the camera's own page",
    404: "has nothing at this path. Its manual or its own page names the path of its MJPEG stream",
    503: "has no room for another viewer, or is starting. Close other viewers",
}


def connect(address: Address, *, timeout: float, verify: bool) -> HTTPResponse:
    """Ask for the stream; the answer's body is not read yet. Raises SourceError, with no password."""
    parts = urlsplit(address.url)
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    with _explained(address, timeout):
        answer = _opener(address, url, verify).open(
            Request(url, headers={"User-Agent": "edgecam"}), None, timeout
        )
    assert isinstance(answer, HTTPResponse)
    return answer


class Hangup:
    """Ends a connection that another thread may be waiting for."""

    def __init__(self, answer: HTTPResponse) -> None:
        self._socket = socket.socket(fileno=os.dup(answer.fileno()))

    def __call__(self) -> None:
        with suppress(OSError):  # the camera, or an earlier call, was first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _opener(address: Address, url: str, verify: bool) -> OpenerDirector:
    passwords = HTTPPasswordMgrWithDefaultRealm()
    if address.user is not None:
        passwords.add_password(None, url, address.user, address.password or "")
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = OpenerDirector()
    for handler in (
        HTTPHandler(),
        HTTPSHandler(context=context),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
        HTTPRedirectHandler(),
        _Basic(passwords),
        _Digest(passwords),
    ):
        opener.add_handler(handler)
    return opener


class _Basic(HTTPBasicAuthHandler):
    """urllib's, which leaves the answer that asked for a password open."""

    def http_error_401(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        return _closing(fp, super().http_error_401, req, fp, code, msg, headers)


class _Digest(HTTPDigestAuthHandler):
    """The same for the other kind of password."""

    def http_error_401(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        return _closing(fp, super().http_error_401, req, fp, code, msg, headers)


def _closing(first: Any, retry: Callable[..., Any], *words: Any) -> Any:
    """A second try; unless there was none, the first answer is done with."""
    try:
        second = retry(*words)
    except ValueError:  # a kind of password that this handler does not know
        return None
    except BaseException:
        first.close()
        raise
    if second is not None:
        first.close()
    return second


@contextmanager
def _explained(address: Address, timeout: float) -> Iterator[None]:
    """Turn what urllib raises into our words; its own may quote what was sent."""
    name = address.name
    try:
        yield
    except HTTPError as error:
        error.close()
        what = _STATUS.get(error.code, "gives no stream. Check the path, and the camera's own page")
        raise SourceError(f"{name} answers with {error.code}: it {what}.") from None
    except (URLError, OSError) as error:
        raise SourceError(_unreachable(address, error, timeout)) from None
    except (HTTPException, ValueError):
        raise SourceError(
            f"{name} answers, but not as a web server does. Check the port and the path."
        ) from None


def _unreachable(address: Address, error: OSError, timeout: float) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            f"{address.name} shows a certificate that this machine does not trust: {reason.verify_message}.\n"
            f"If it is your own camera in your own network, add #verify=0 to its URL."
        )
    if isinstance(reason, TimeoutError):
        why = f"no answer within {timeout:g} s"
    else:
        why = getattr(reason, "strerror", None) or type(reason).__name__
    return (
        f"{address.name} cannot be reached: {why} ({address.host}, port {address.port}).\n"
        f"Check that the camera is on and in this network:\n    ping {address.host}"
    )
