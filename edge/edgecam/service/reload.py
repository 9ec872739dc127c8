"""Reads settings and class head again while the loop runs, and hands over what can change in it.

    SIGHUP -> thread: file, command line, checks, bundle, head -> main thread: apply

Read in a thread of its own, since hashing a bundle takes longer than a frame lasts. What is wrong with the
new settings is said, and the old ones stay, all of them.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from edgecam.config.merge import differing, keys
from edgecam.logs import Level, say
from edgecam.service.systemd import Systemd, longest_gap_s
from edgecam.settings import RunSettings
from edgecam_engines.bundle import Bundle, open_bundle
from edgecam_engines.errors import EdgecamError
from edgecam_engines.head import Head, same_head

# What the loop takes over between two frames. All else was opened with the old value and needs a restart.
LIVE: Final = frozenset(
    {"head", "threshold", "thresholds", "smooth", "ignore", "alarm"}
    | {"event_after", "event_end_s", "fps", "every"}
)


class Running(NamedTuple):
    """What a loop runs with."""

    settings: RunSettings
    bundle: Bundle
    head: Head


class Reloaded(NamedTuple):
    """What a loop runs with from now on, and how that differs from before."""

    running: Running
    changed: tuple[str, ...]  # fields that differ from before, all of them in LIVE
    restart: tuple[str, ...]  # fields that differ in the file and need a restart; not in `running`
    other_head: bool  # the class head's numbers are other ones
    other_engine: bool  # the bundle was built anew, so that its heads do not fit the engine that runs


def read_again(before: Running, meant: RunSettings) -> Reloaded:
    """What a loop can take over of new settings and of its bundle as it is now. Raises EdgecamError."""
    new = differing(before.settings, meant)
    changed = [name for name in new if name in LIVE]
    restart = [name for name in new if name not in LIVE]
    # Hashing models takes time from the engine that runs; a head's own hash is checked in any case.
    bundle = before.bundle if before.bundle.is_current() else open_bundle(before.settings.bundle)
    other_engine = _engine(bundle, before.settings) != _engine(before.bundle, before.settings)
    if other_engine and "head" in changed:
        changed.remove("head")
        restart.append("head")
    settings = replace(before.settings, **{name: getattr(meant, name) for name in changed})
    if other_engine:
        now = Running(settings, before.bundle, before.head)
    else:
        now = Running(settings, bundle, bundle.head(settings.head))
    other_head = not same_head(now.head, before.head)
    return Reloaded(now, tuple(changed), tuple(restart), other_head, other_engine)


def in_words(found: Reloaded) -> str:
    """What was taken over and what was not, for people."""
    news = [keys(list(found.changed))] if found.changed else []
    news += ["the class head"] if found.other_head and "head" not in found.changed else []
    words = f"Settings read again: {' and '.join(news) or 'nothing'} changed."
    if found.restart:
        words += f" Only a restart changes {keys(list(found.restart))}."
    if found.other_engine:
        words += f" {found.running.bundle.path.name} has another engine now, which only a restart opens."
    return words


class Reloader:
    """Polled by the main loop between two frames. Never waits."""

    def __init__(
        self,
        running: Running,
        read: Callable[[], RunSettings],
        asked: Callable[[], bool],
        apply: Callable[[Reloaded], object],
        systemd: Systemd | None = None,
        say: Callable[[str, Level], object] = say,
        wished: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`asked` says, once, that the settings shall be read again; `read` reads them, in another thread.

        `apply` makes the loop go on with what differs; when it raises EdgecamError it has changed nothing.
        `wished` names, once, a class head that shall be read (again), and nothing else.
        """
        self.running = running
        self._read, self._asked, self._apply = read, asked, apply
        self._systemd, self._say, self._wished = systemd, say, wished
        self._thread: threading.Thread | None = None
        self._found: Reloaded | Exception | None = None

    def poll(self) -> None:
        """Begin to read where somebody asked; take over what was read."""
        if self._thread is None:
            if self._asked():
                self._begin(self._read)
            elif (head := self._wished()) is not None:
                self._begin(lambda: replace(self.running.settings, head=head))
        elif not self._thread.is_alive():
            self._thread.join()
            self._thread = None
            self._end()

    def _begin(self, read: Callable[[], RunSettings]) -> None:
        if self._systemd is not None:
            self._systemd.reloading()
        self._thread = threading.Thread(target=self._work, args=(read,), name="edgecam-reload", daemon=True)
        self._thread.start()

    def _work(self, read: Callable[[], RunSettings]) -> None:
        try:
            self._found = read_again(self.running, read())
        except Exception as error:  # of any kind: a loop that answers is not ended by a file beside it
            self._found = error

    def _end(self) -> None:
        found, self._found = self._found, None
        level: Level = "info"
        if isinstance(found, Reloaded):
            try:
                if found.changed or found.other_head:
                    self._apply(found)
                self.running = found.running
                words = in_words(found)
            except EdgecamError as error:
                words, level = _kept(error), "error"
        else:
            words, level = _kept(found), "error"
        self._say(words, level)
        if self._systemd is not None:
            self._systemd.reloaded(words, longest_gap_s(self.running.settings))


def _kept(error: BaseException | None) -> str:
    why = str(error) if isinstance(error, EdgecamError) else repr(error)
    return f"The settings stay as they were.\n{why}"


def _engine(bundle: Bundle, settings: RunSettings) -> str:
    """The SHA-256 of the model that runs."""
    _, model = bundle.model(settings.backend, threads=settings.threads)
    return bundle.digests[model.path]
