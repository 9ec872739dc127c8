"""The reader of a live source: a process that reads, and a thread here that listens, judges, replaces it."""

import random
import threading
from collections.abc import Callable
from typing import Final

from edgecam.isolation.channel import Closed, Placed, Ring, Told
from edgecam.isolation.patience import Patience, Watch
from edgecam.isolation.pauses import pauses
from edgecam.isolation.process import Child, Job
from edgecam.isolation.ring import Mapped
from edgecam.sources.health import Book, Health
from edgecam.sources.newest import Slot
from edgecam.sources.reader import Clock
from edgecam.sources.source import Shot
from edgecam_engines.errors import SourceError

Say = Callable[[str], None]
GRACE_S: Final = 1.0  # for a reader to give its device back at the end
JOIN_S: Final = 5.0
LOOK_S: Final = 0.05  # how often somebody who waits for the opening may leave
RETRYING: Final = "Trying again until it is back."


class ProcessReader:
    """Gives the newest frame of a live source, and calls a lost one back for ever.

    Until it was open for the first time, what goes wrong is an error; after that it is a state.
    """

    live = True

    def __init__(
        self,
        job: Job,
        say: Say,
        *,
        clock: Clock = Clock(),  # noqa: B008 - a constant
        patience: Patience = Patience(),  # noqa: B008 - a constant
        bell: threading.Event | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.name, self.fps = "the camera", 30.0  # until the source says otherwise
        self._job, self._say, self._clock, self._patience = job, say, clock, patience
        self._rng = rng or random.Random()
        self._book = Book(clock.utc)
        self._slot: Slot[Shot] = Slot(replace=True, bell=bell)
        self._taken = 0
        self._opened = threading.Event()
        self._over = threading.Event()
        self._stopping = threading.Event()
        self._child: Child | None = None
        self._ring: Mapped | None = None
        self._left: list[Child] = []  # killed, but held by the kernel
        self._base = 0  # number of the present process's frame 0
        self._pauses = pauses(self._rng)
        self._thread = threading.Thread(target=self._run, name="edgecam-read", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Of the process that reads now."""
        return None if self._child is None else self._child.pid

    def wait_open(self, going_on: Callable[[], bool] = lambda: True) -> None:
        """Until the source is open, or `going_on` says no. Raises SourceError when it cannot be opened."""
        while not self._opened.wait(LOOK_S):
            if self._over.is_set():
                self._slot.take(0.0)
            if self._over.is_set() or not going_on():
                return

    def take(self, timeout: float) -> Shot | None:
        shot = self._slot.take(timeout)
        if shot is None:
            return None
        if not self._fresh(shot, self._clock.monotonic()):
            self._book.skip()
            return None
        skipped = shot.number - self._taken
        self._taken += 1
        ring = self._ring
        if ring is not None and ring.crowded:
            shot = shot._replace(frame=shot.frame.copy())
        return shot._replace(skipped=skipped)

    def health(self) -> Health:
        replaced = self._slot.replaced  # before what was captured, which is then never too few
        now = self._book.now
        return now._replace(skipped=now.skipped + replaced)

    def changes(self) -> list[Health]:
        return self._book.changes()

    def stop(self) -> None:
        self._stopping.set()
        self._slot.abandon()
        if (child := self._child) is not None:
            child.channel.hang_up()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        try:
            while (reason := self._attend()) is not None and not self._stopping.is_set():
                self._lose(reason)
                self._stopping.wait(next(self._pauses))
        except BaseException as error:
            self._slot.close(error)
        else:
            self._slot.close()
        finally:
            self._over.set()

    def _attend(self) -> str | None:
        """One process from its start to its end. Why it ended; None when there is nothing more to read."""
        self._left = [child for child in self._left if not child.end()]
        child = self._child = Child(self._job)
        self._ring, self._base = None, self._book.now.captured
        grace_s = GRACE_S
        try:
            self._listen(child)
        except _Over as over:
            return over.reason
        except _Hung as hung:
            grace_s = 0.0
            return self._unless_new(str(hung))
        except Closed:
            child.end(grace_s)
            return self._unless_new(f"the process that reads it ended ({child.how()}).")
        finally:
            if not child.end(grace_s):
                self._left.append(child)
            child.channel.close()
        return None

    def _unless_new(self, reason: str) -> str:
        """The reason, for a source that was open before."""
        if self._opened.is_set() or self._stopping.is_set():
            return reason
        raise SourceError(
            f"{self.name} cannot be opened: {reason}\n"
            f"Unplug it and plug it in again, or restart what serves it."
        )

    def _listen(self, child: Child) -> None:
        """Heed what a process says. Raises _Over, _Hung, or Closed."""
        watch = Watch(self._patience, self._clock.monotonic())
        while not self._stopping.is_set():  # asked after `_child` was set: `stop` hangs up, or is seen here
            message = child.channel.receive(watch.until_next(self._clock.monotonic()))
            if isinstance(message, Placed):
                self._frame(message, watch)
            elif isinstance(message, Ring):
                self._ring = Mapped(message, child.channel)
            elif isinstance(message, Told):
                self._told(message, watch)
            else:
                self._judge(watch)

    def _frame(self, placed: Placed, watch: Watch) -> None:
        assert self._ring is not None, "a ring comes before its frames"
        now = self._clock.monotonic()
        shot = Shot(
            self._ring.frame(placed),
            self._base + placed.number,
            placed.captured,
            # From the age, not from the child's calendar: it may have been set in between.
            self._clock.utc() - max(0.0, now - placed.captured),
        )
        self._book.gave(shot.number + 1, shot.captured_at)
        if not self._fresh(shot, now):
            self._book.skip()
            return
        watch.heard(now)
        self._live()
        self._slot.put(shot)

    def _fresh(self, shot: Shot, now: float) -> bool:
        return now - shot.captured < self._patience.of(self.fps).stalled_s

    def _live(self) -> None:
        before = self._book.now.state
        if self._book.turn("live"):
            self._pauses = pauses(self._rng)
            if before == "lost":
                self._say(f"{self.name} is back.")

    def _told(self, told: Told, watch: Watch) -> None:
        now = self._clock.monotonic()
        if told.what == "say":
            self._say(told.words)
        elif told.what == "opened":
            self.name, self.fps = str(told.about["name"]), float(told.about["fps"])
            watch.opened(self.fps, now)
            self._opened.set()
        elif told.what == "failed":
            watch.heard(now)
            self._still_away(told.words)
        else:
            self._book.missed(self._base + int(told.about.get("frames", 0)))
            raise _Over(self._why(told))

    def _why(self, told: Told) -> str | None:
        if told.what == "ended":
            return None
        if told.what == "lost":
            return _first_line(told.words)
        if not self._opened.is_set():
            raise RuntimeError(f"The reader of {self.name} broke:\n{told.words}")
        return f"its reader broke ({told.words.strip().splitlines()[-1]})."

    def _judge(self, watch: Watch) -> None:
        verdict = watch.verdict(self._clock.monotonic())
        if verdict == "hung":
            raise _Hung(f"its reader gave no sign of life for {watch.limit_s:.3g} s.")
        if verdict == "stalled" and self._book.now.state != "lost":
            self._book.turn("stalled", f"It gave no frame for {self._patience.of(self.fps).stalled_s:.3g} s.")

    def _lose(self, reason: str) -> None:
        if self._book.turn("lost", f"{reason} {RETRYING}"):
            self._say(f"{self.name} is lost: {reason} {RETRYING}")

    def _still_away(self, words: str) -> None:
        if not self._opened.is_set():
            raise SourceError(words)
        detail = f"{_first_line(words)} {RETRYING}"
        if detail != self._book.now.detail:
            self._book.turn("lost", detail)
            self._say(f"{self.name} is still away: {_first_line(words)}")


class _Over(Exception):
    """A process told that it is done: with a reason to start another one, or with None."""

    def __init__(self, reason: str | None) -> None:
        super().__init__(reason)
        self.reason = reason


class _Hung(Exception):
    """A process is to be killed, for the reason that this says."""


def _first_line(words: str) -> str:
    return words.partition("\n")[0]
