"""The reader of a live source: a process that reads, and a thread here that listens, judges, replaces it."""

import random
import threading
from collections.abc import Callable
from typing import Final, NamedTuple

from edgecam.isolation.channel import Beat, Closed, Told
from edgecam.isolation.mailbox import Inbox
from edgecam.isolation.patience import Patience, Watch
from edgecam.isolation.pauses import pauses
from edgecam.isolation.process import Child, Job
from edgecam.sources import name_of
from edgecam.sources.bell import Bell
from edgecam.sources.health import Book, Health
from edgecam.sources.newest import Ended
from edgecam.sources.opening import opening_s
from edgecam.sources.reader import Clock
from edgecam.sources.source import Shot
from edgecam_engines.errors import SourceError

Say = Callable[[str], None]
GRACE_S: Final = 1.0  # for a reader to give its device back at the end
JOIN_S: Final = 5.0
LOOK_S: Final = 0.05  # how often somebody who waits for the opening may leave
RETRYING: Final = "Trying again until it is back."


class Connection(NamedTuple):
    """Where frames come from now."""

    inbox: Inbox | None
    first: int  # number of the process's frame 0


class Taken(NamedTuple):
    """What came out of the mailbox so far; replaced whole."""

    handed_out: int
    last: int  # number of the last frame, handed out or too old


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
        patience: Patience | None = None,
        bell: Bell | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """`patience` None: as long as the kind of source may take."""
        self.name, self.fps = name_of(job.uri), 30.0  # until the source says otherwise
        self._job, self._say, self._clock = job, say, clock
        self._patience = patience or Patience(connect_s=opening_s(job.uri))
        self._counts_all = False
        self._bell, self._rng = bell or Bell(), rng or random.Random()
        self._book = Book(clock.utc)
        self._lock = threading.Lock()  # between taking a frame and going over to another process
        self._connection, self._taken = Connection(None, 0), Taken(0, -1)
        self._opened = threading.Event()
        self._over = threading.Event()  # set after `_error`
        self._error: BaseException | None = None
        self._stopping = threading.Event()
        self._child: Child | None = None
        self._left: list[Child] = []  # killed, but held by the kernel
        self._pauses = pauses(self._rng)
        self._thread = threading.Thread(target=self._run, name="edgecam-read", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Of the process that reads now."""
        return None if self._child is None else self._child.pid

    def wait_open(self, going_on: Callable[[], bool] = lambda: True) -> None:
        """Until the source is open, or `going_on` says no. Raises SourceError when it cannot be opened."""
        while not self._opened.wait(LOOK_S) and going_on():
            if self._over.is_set():
                raise self._error or Ended

    def take(self, timeout: float) -> Shot | None:
        deadline = self._clock.monotonic() + timeout
        while True:
            over = self._over.is_set()  # asked first: what was given before the end comes before the end
            if (shot := self._newest()) is not None:
                return shot
            if over:
                raise self._error or Ended
            if timeout <= 0 or not self._bell.wait(deadline - self._clock.monotonic()):
                return None

    def health(self) -> Health:
        taken, now = self._taken, self._book.now
        captured = max(now.captured, taken.last + 1)  # a frame may be taken before its beat comes
        waiting = taken.last < captured - 1
        skipped = captured - taken.handed_out - waiting
        return now._replace(captured=captured, skipped=skipped, counts_all=self._counts_all)

    def changes(self) -> list[Health]:
        return self._book.changes()

    def stop(self) -> None:
        self._stopping.set()
        if (child := self._child) is not None:
            child.channel.hang_up()
        self._thread.join(JOIN_S)
        self._connection, self._child = Connection(None, 0), None

    def _newest(self) -> Shot | None:
        """What lies in the mailbox, if it is fresh."""
        with self._lock:
            inbox, first = self._connection
            found = None if inbox is None else inbox.take()
            if found is None:
                return None
            frame, placed = found
            number, count, fresh = first + placed.number, self._taken.handed_out, self._fresh(placed.captured)
            self._taken = Taken(count + fresh, number)
        if not fresh:
            return None
        return Shot(frame, number, placed.captured, self._date(placed.captured), number - count)

    def _fresh(self, captured: float) -> bool:
        return self._clock.monotonic() - captured < self._patience.of(self.fps).stalled_s

    def _date(self, captured: float) -> float:
        """From the age, not from the child's calendar: it may have been set in between."""
        return self._clock.utc() - max(0.0, self._clock.monotonic() - captured)

    # ---- the thread that listens

    def _run(self) -> None:
        try:
            while (reason := self._attend()) is not None and not self._stopping.is_set():
                self._lose(reason)
                self._stopping.wait(next(self._pauses))
        except BaseException as error:
            self._error = error
        finally:
            self._over.set()
            self._bell.ring()

    def _attend(self) -> str | None:
        """One process from its start to its end. Why it ended; None when there is nothing more to read."""
        self._left = [child for child in self._left if not child.end()]
        child = self._child = Child(self._job)
        self._connect(child.inbox)
        self._bell.listen(child.inbox.fileno())
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
            self._bell.unlisten(child.inbox.fileno())
        return None

    def _connect(self, inbox: Inbox) -> None:
        """Frames come from there now. What is left of the process before was captured, and nobody took it."""
        with self._lock:
            before, first = self._connection
            captured = max(self._book.now.captured, self._taken.last + 1)
            if before is not None and (left := before.take()) is not None:
                captured = max(captured, first + left[1].number + 1)
            self._book.gave(captured)
            self._connection = Connection(inbox, captured)

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
            if isinstance(message, Beat):
                self._beat(message, watch)
            elif isinstance(message, Told):
                self._told(message, watch)
            else:
                self._judge(watch)

    def _beat(self, beat: Beat, watch: Watch) -> None:
        self._book.gave(self._connection.first + beat.captured, self._date(beat.at))
        if not self._fresh(beat.at):
            return
        watch.heard(self._clock.monotonic())
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
            self._counts_all = bool(told.about["counts_all"])
            watch.opened(self.fps, now)
            self._opened.set()
        elif told.what == "opening":
            watch.opening(now)
        elif told.what == "failed":
            watch.heard(now)
            self._still_away(told.words)
        else:
            self._book.gave(self._connection.first + int(told.about.get("frames", 0)))
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
