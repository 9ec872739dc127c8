"""A button that is held: one camera's frames are taken under one name, at a rate, by one page at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final

EVERY_S: Final = 0.25  # between two frames that are taken: time to turn the thing a little
ALIVE_S: Final = 2.0  # a page says so again at least this often while its button is held
LEASE_S: Final = 20.0  # who taught last goes before others for this long


class Taken(Exception):
    """Somebody else is teaching."""


@dataclass(frozen=True)
class Hold:
    """What a button is held for."""

    label: str
    camera: str
    page: str  # which page, not which person
    anyway: bool = False  # frames too that are blurred or badly lit


class Holding:
    """Asked by the loop for every frame, pressed by the server's thread."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._lock = now, Lock()
        self._hold: Hold | None = None
        self._until = self._due = float("-inf")
        self._page, self._page_until = "", float("-inf")

    @property
    def hold(self) -> Hold | None:
        """What is held; None when nothing is. A page that fell silent has let go."""
        hold = self._hold  # read without the lock: the loop asks this for every frame
        return hold if hold is not None and self._now() < self._until else None

    def claim(self, page: str) -> None:
        """This page teaches now. Raises Taken while another one does."""
        with self._lock:
            if page != self._page and self._now() < self._page_until:
                raise Taken
            self._page, self._page_until = page, self._now() + LEASE_S

    def leave(self, page: str) -> None:
        """This page is gone or done; others may teach at once."""
        with self._lock:
            if page == self._page:
                self._hold, self._page_until = None, float("-inf")

    def press(self, hold: Hold) -> bool:
        """Take frames from now on; whether that is new. The page is one that claimed."""
        with self._lock:
            new = self.hold != hold
            if new:
                self._due = float("-inf")
            self._hold, self._until = hold, self._now() + ALIVE_S
            return new

    def release(self) -> None:
        """Take no more."""
        self._hold = None

    def due(self, camera: str) -> Hold | None:
        """What a frame of this camera that is here now is to be taken for; None when it is not."""
        hold = self.hold
        if hold is None or hold.camera != camera or self._now() < self._due:
            return None
        self._due = self._now() + EVERY_S
        return hold
