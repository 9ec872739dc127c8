"""The page as an output: hands results, events and states to the server's thread and returns at once."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edgecam.decisions.event import Alarm, Event
from edgecam.result import Result
from edgecam.status import CameraStatus
from edgecam.teaching.desk import Desk
from edgecam.web.about import About
from edgecam.web.limits import ConnectionLimits
from edgecam_engines.engine import Frame
from edgecam_engines.errors import OutputError


class Teachable(NamedTuple):
    """What a page needs to teach."""

    desk: Desk
    tray: Path | None = None  # of hard examples, that may be named in the page


class Web:
    """A sink and a listener. Takes frames that nothing is drawn on: the overlay is the viewer's choice."""

    pictures = False

    def __init__(
        self,
        serve: str,
        about: About,
        *,
        say: Callable[[str], None],
        token_file: Path | None = None,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - a constant
        teaching: Teachable | None = None,
    ) -> None:
        """Serve at `serve`, such as "127.0.0.1:8080". Without `teaching` no request changes anything.

        Raises OutputError.
        """
        try:
            from edgecam.web.hub import Hub
            from edgecam.web.open import open_server
        except ImportError as error:
            raise OutputError(
                f"The page needs {error.name}, which is not installed.\n"
                f"Install it: pip install 'edgecam[web]'. Or leave --serve out."
            ) from error
        self._desk = teaching.desk if teaching else None
        self.hub = Hub(about, self._desk)
        try:
            self._server, self.url = open_server(
                serve, token_file, self.hub, say, limits, teaching and teaching.tray
            )
        except BaseException:
            self.hub.pictures.close()
            raise
        say(f"The page is at {self.url}")

    def write(self, frame: Frame, result: Result) -> None:
        if self._desk is not None:
            self._desk.offer(frame, result)
        self.hub.result(frame, result)

    def event(self, event: Event) -> None:
        if self._desk is not None:
            self._desk.event(event)
        self.hub.event(event)

    def alarm(self, alarm: Alarm) -> None:
        self.hub.alarm(alarm)

    def status(self, status: CameraStatus) -> None:
        self.hub.status(status)

    def describe(self, about: About) -> None:
        """Say that another head runs now; pages that are open take over its classes."""
        self.hub.describe(about)

    def close(self) -> None:
        self.hub.end()
        self._server.stop()
        self.hub.pictures.close()
