"""Looks after a running loop: settings that are read again on SIGHUP, and what systemd is told."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeAlias

from edgecam.logs import Level, say
from edgecam.service.hangup import hangup_signal
from edgecam.service.notify import Notify
from edgecam.service.reload import Reloaded, Reloader, Running
from edgecam.service.systemd import Systemd, longest_gap_s
from edgecam.settings import RunSettings
from edgecam.status import CameraStatus
from edgecam_engines.bundle import Bundle
from edgecam_engines.head import Head


class Rules(Protocol):
    """What a loop answers by."""

    @property
    def head(self) -> Head: ...


class Choice(Protocol):
    """A class head that somebody may choose while the loop runs."""

    def wished(self) -> str | None:
        """Its name, once each time one was chosen."""
        ...

    def told(self, words: str, level: Level = "info", /) -> None:
        """What became of a reload."""
        ...


class Loop(Protocol):
    """What a loop offers to whoever looks after it, from its main thread."""

    bundle: Bundle

    @property
    def rules(self) -> Rules: ...

    def statuses(self) -> Sequence[CameraStatus]:
        """How each camera is."""
        ...

    def reload(self, settings: RunSettings, head: Head) -> None:
        """Go on by these, without dropping a frame. Raises EdgecamError; then nothing has changed."""
        ...


Keeper: TypeAlias = Callable[[Loop], Callable[[], object]]  # loop -> what is called between its frames


@contextmanager
def keeping(
    settings: RunSettings, read: Callable[[], RunSettings], choice: Choice | None = None
) -> Iterator[Keeper]:
    """A keeper for one loop; `read` gives the settings anew. Signals are as they were afterwards."""
    systemd = Systemd(Notify(), longest_gap_s(settings))
    with hangup_signal() as hangup:

        def keeper(loop: Loop) -> Callable[[], None]:
            def apply(found: Reloaded) -> None:
                loop.reload(found.running.settings, found.running.head)

            running = Running(settings, loop.bundle, loop.rules.head)
            told, wished = (choice.told, choice.wished) if choice else (say, lambda: None)
            reloader = Reloader(running, read, hangup.taken, apply, systemd, told, wished)

            def between_frames() -> None:
                reloader.poll()
                systemd.look(loop.statuses)

            return between_frames

        try:
            yield keeper
        finally:
            systemd.close()
