"""Which class head answers, where the page has a say in it."""

from collections.abc import Callable
from dataclasses import replace
from threading import Lock

from edgecam.logs import Level, say
from edgecam.settings import RunSettings


class HeadChoice:
    """Chosen from the page's threads, taken over by the main one. The newest wish holds, whoever had it."""

    def __init__(self, base: str, settings: RunSettings, taught: str | None = None) -> None:
        """`base` answers where nothing is taught, `taught` at first unless the settings name a head."""
        self.base = base
        self.trouble = ""  # why the loop did not take the last one over
        self.listen: Callable[[], object] = lambda: None  # called when that changes
        self._lock, self._said, self._due = Lock(), settings.head, False
        self._name = settings.head or taught or base

    def choose(self, name: str) -> None:
        """Answer by this head, read anew, as soon as the loop can."""
        with self._lock:
            self._name, self._due = name, True

    def wished(self) -> str | None:
        """The head to take over, once each time one was chosen."""
        with self._lock:
            due, self._due = self._due, False
            return self._name if due else None

    def over(self, settings: RunSettings) -> RunSettings:
        """Settings as they were read, with the head that shall answer."""
        with self._lock:
            if settings.head != self._said:  # somebody has changed the file since
                self._said = settings.head
                self._name = settings.head or self.base
            return replace(settings, head=self._name)

    def told(self, words: str, level: Level = "info") -> None:
        """What became of a reload, for the page and for whoever reads the log."""
        say(words, level)
        self.trouble = words if level == "error" else ""
        self.listen()
