"""Runs the application in a thread with an event loop of its own, and ends it cleanly."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from edgecam.web.connection import guarded
from edgecam.web.guard import LONGEST_HEAD
from edgecam.web.limits import ConnectionLimits
from edgecam.web.pulse import Pulse
from edgecam_engines.errors import OutputError

START_S: Final = 10.0
STOP_S: Final = 5.0


class _Uvicorn(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


class Server:
    """Answers on a listening socket, which it closes in the end."""

    def __init__(
        self,
        app: ASGIApp,
        listening: socket.socket,
        pulses: list[Pulse],
        say: Callable[[str], None],
        limits: ConnectionLimits,
    ) -> None:
        """`pulses` beat in the server's loop while it runs."""
        self._socket, self._pulses, self._say = listening, pulses, say
        self._server = _Uvicorn(_config(app, limits))
        self._thread = threading.Thread(target=self._run, name="edgecam-web", daemon=True)

    def start(self) -> None:
        """Returns once requests are answered. Raises OutputError."""
        self._thread.start()
        if not self._server.up.wait(START_S):
            self._socket.close()
            raise OutputError(f"The page's server did not start within {START_S:.0f} s. Try again.")

    def stop(self) -> None:
        """Let everybody go and end the thread. Safe to call twice."""
        self._server.should_exit = True
        self._thread.join(STOP_S)
        self._socket.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            # The cameras go on: a page that broke is no reason to be blind.
            self._say(f"The page is gone, everything else goes on: {error!r}")

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        for pulse in self._pulses:
            pulse.attach(loop)
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            for pulse in self._pulses:
                pulse.attach(None)
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)  # so that the aborted ones are closed before the loop is


def _config(app: ASGIApp, limits: ConnectionLimits) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=guarded(limits),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # else anybody names the address that limits are kept for
        server_header=False,
        h11_max_incomplete_event_size=2 * LONGEST_HEAD,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=1,
    )
    # What strangers send is counted, not logged: they could fill the disk with it.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    return config
