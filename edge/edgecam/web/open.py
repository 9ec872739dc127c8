"""Puts the parts together: address, token, hub, guard, server."""

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from starlette.routing import Route

from edgecam.web.address import listen, parse_address
from edgecam.web.changes import BURST as MOST_AT_ONCE
from edgecam.web.changes import PER_S, Changes
from edgecam.web.guard import Door, Guard
from edgecam.web.hub import Hub
from edgecam.web.limits import ConnectionLimits, Failures, Places, Rates
from edgecam.web.page_files import read_page
from edgecam.web.routes import Routes
from edgecam.web.server import Server
from edgecam.web.teaching import TeachingRoutes
from edgecam.web.token import read_token

REQUESTS_PER_S: Final = 50.0  # from one address
GUESSES: Final = 8  # wrong tokens that are kept waiting at once
BURST: Final = 300  # a page that opens asks for many thumbnails at once


def open_server(
    serve: str,
    token_file: Path | None,
    hub: Hub,
    say: Callable[[str], None],
    limits: ConnectionLimits,
    tray: Path | None = None,
) -> tuple[Server, str]:
    """A running server and the address to open in a browser; of hard examples in `tray` it may be taught.

    Raises OutputError.
    """
    address = parse_address(serve)
    token = read_token(token_file, address)
    listening = listen(address)
    port = listening.getsockname()[1]
    lessons, changes = _teaching(hub, tray)
    door = Door(
        loopback=address.loopback,
        cookie=f"edgecam_{port}",
        token=token,
        rates=Rates(REQUESTS_PER_S, BURST, time.monotonic),
        failures=Failures(time.monotonic),
        guessing=Places(GUESSES),
        refused=hub.refused,
        changes=changes,
    )
    routes = Routes(hub, read_page(), lessons)
    server = Server(
        Guard(routes.app(), door, routes.ask), listening, [hub.news, hub.pictures.pulse], say, limits
    )
    server.start()
    host = f"[{address.host}]" if ":" in address.host else address.host
    return server, f"http://{host}:{port}/"


def _teaching(hub: Hub, tray: Path | None) -> tuple[list[Route], Changes | None]:
    """What can be asked for to teach, and what must be shown for it; nothing where there is no desk."""
    if hub.desk is None:
        return [], None
    key = secrets.token_urlsafe(24)
    lessons = TeachingRoutes(hub.desk, hub.board.cameras, key, tray)
    return lessons.routes(), Changes(lessons.changing, key, Rates(PER_S, MOST_AT_ONCE, time.monotonic))
