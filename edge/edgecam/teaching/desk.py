"""Where teaching is done while the loop runs: one thread, a bounded queue, and what is known so far.

The loop hands over a copied frame a few times a second while a button is held, and never waits. Photos are
learned from as soon as nothing more comes: one press, one version, one step of undo.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from edgecam.decisions.event import Event
from edgecam.quality import DIFFERENT, Quality, judge
from edgecam.result import Result
from edgecam.teaching.best import BestFrames
from edgecam.teaching.choice import HeadChoice
from edgecam.teaching.holding import Hold, Holding
from edgecam.teaching.tutor import Notebook, Shot, Tutor, Tutors
from edgecam.threads import step_back
from edgecam_engines.engine import Engine, Frame
from edgecam_engines.errors import DataError, EdgecamError

NOT_JUDGED: Final = Quality(0.0, 0.0, 0.0, None, ())
WAITING: Final = 16  # jobs
WAITING_SHOTS: Final = 4  # of them, frames of the camera: each is a whole one
TICK_S: Final = 0.1
IDLE_S: Final = 30.0  # then others may teach this bundle
JOIN_S: Final = 10.0

Job = Callable[[Tutor], bool]  # whether there is something new to learn


class Teaching(NamedTuple):
    """What a loop needs to be taught while it runs, but its engine."""

    tutors: Tutors
    choice: HeadChoice


class Busy(Exception):
    """More was asked for than can wait."""


class Desk:
    """`offer` and `event` belong to the loop's thread, the rest to any other."""

    def __init__(
        self,
        tutors: Tutors,
        choice: HeadChoice,
        engine: Engine,
        *,
        view: Callable[[Frame], Frame] = lambda frame: frame,
        now: Callable[[], float] = time.monotonic,
        idle_s: float = IDLE_S,
    ) -> None:
        """`engine` may be used by another thread than the caller's; `view` gives what it sees of a frame."""
        self.tutors, self.choice = tutors, choice
        self.changes = 0  # how often something that `state` says has changed
        self.dropped = 0  # frames that nobody had time for
        self._listen: Callable[[], object] = lambda: None
        self._engine, self._view, self._now, self._idle_s = engine, view, now, idle_s
        self._holding = Holding(now)
        self._best = BestFrames(engine.input_hw)
        self._queue: queue.Queue[Job] = queue.Queue(WAITING)
        self._last: tuple[str, Frame] | None = None  # name and frame that were taken last
        self._taken, self._quality, self._alike = 0, NOT_JUDGED, False  # of the hold
        self._busy, self._trouble = "", ""
        self._advice = ""  # what is needed before anything can be learned
        self._book = Notebook()
        self._read()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="edgecam-teach", daemon=True)
        self._thread.start()

    # -- the loop's thread

    def offer(self, frame: Frame, result: Result) -> None:
        """A frame with nothing drawn on it. Copied if somebody teaches with it; otherwise costs nothing."""
        hold = self._holding.due(result.camera)
        if hold is None:
            return
        if result.features is None or self._queue.qsize() >= WAITING_SHOTS:
            self.dropped += 1
            return
        shot = Shot(self._view(frame).copy(), hold.label, result.camera, result.features)
        try:
            self._queue.put_nowait(lambda tutor: self._look_and_take(tutor, shot, hold))
        except queue.Full:
            self.dropped += 1

    def event(self, event: Event) -> None:
        """Keep the event's best frame, in case it was mistaken."""
        self._best.keep(event, self._view(event.best.frame))

    # -- the server's thread

    def listen(self, changed: Callable[[], object]) -> None:
        """Call this whenever `changes` grows, from any thread."""
        self._listen = changed
        self.choice.listen = self._changed

    def hold(self, hold: Hold) -> None:
        """Take frames while this is said again at least every second. Raises Taken, DataError."""
        self.tutors.check_label(hold.label)
        self._holding.claim(hold.page)
        if self._holding.press(hold):
            self._taken, self._quality, self._alike, self._trouble = 0, NOT_JUDGED, False, ""
            self._put(lambda tutor: False)  # opens the bundle at once, so that a refusal is told at once
            self._changed()

    def release(self, page: str) -> None:
        """The button was let go: learn what was taken."""
        self._holding.claim(page)
        self._holding.release()
        self._changed()

    def leave(self, page: str) -> None:
        """The page was closed."""
        self._holding.leave(page)
        self._changed()

    def say_event(self, event_id: str, label: str, page: str) -> bool:
        """This event was of that class; False when its frame is gone. Raises Taken, Busy, DataError."""
        frame = self._best.get(event_id)
        if frame is None:
            return False
        self.say(lambda: frame, f"event {event_id}", label, page)
        return True

    def say(self, read: Callable[[], Frame], source: str, label: str, page: str) -> None:
        """This frame is of that class; it is read later. Raises Taken, Busy, DataError."""
        self.tutors.check_label(label)

        def take(tutor: Tutor) -> bool:
            tutor.add(Shot(read(), label, source))
            return True

        self._ask(page, take)

    def relabel(self, photo_id: str, label: str, page: str) -> None:
        """Raises Taken, Busy, DataError."""
        self.tutors.check_label(label)

        def job(tutor: Tutor) -> bool:
            tutor.relabel(photo_id, label)
            return True

        self._ask(page, job)

    def remove(self, photo_id: str, page: str) -> None:
        """Raises Taken, Busy."""

        def job(tutor: Tutor) -> bool:
            tutor.remove(photo_id)
            return True

        self._ask(page, job)

    def undo(self, page: str) -> None:
        """Take the last step back. Raises Taken, Busy."""

        def job(tutor: Tutor) -> bool:
            tutor.undo()
            self._answer_by(tutor.notebook())
            return False

        self._ask(page, job)

    def use(self, head: str, page: str) -> None:
        """Let the loop answer by this head, which is one of `tutors.heads()`. Raises Taken."""
        self._holding.claim(page)
        self.choice.choose(head)
        self._changed()

    def knows(self, photo_id: str) -> bool:
        return any(photo.id == photo_id for photo in self._book.photos)

    def tile(self, photo_id: str) -> bytes | None:
        """A small picture of a photo with its map, JPEG."""
        return self._book.tile(photo_id)

    def state(self) -> dict[str, Any]:
        """Everything a page shows, as JSON."""
        book, hold, quality = self._book, self._holding.hold, self._quality
        return {
            "head": self.tutors.name,
            "heads": self.tutors.heads(),
            "version": book.version,
            "unlearned": book.unlearned,
            "figures": book.figures,
            "photos": [photo._asdict() for photo in book.photos],
            "hold": None if hold is None else {"label": hold.label, "camera": hold.camera},
            "taken": self._taken,
            "quality": {"sharpness": quality.sharpness, "light": quality.level},
            "hints": [*quality.complaints, *(["nearly the same as another one"] if self._alike else [])],
            "busy": self._busy,
            "advice": self._advice,
            "trouble": self._trouble or self.choice.trouble,
        }

    def close(self) -> None:
        """End the thread; what is in hand is finished first. Safe to call twice."""
        self._ending.set()
        self._holding.release()
        self._thread.join(JOIN_S)

    # -- the desk's own thread

    def _work(self) -> None:
        step_back()
        while not self._ending.is_set():
            job = self._next(TICK_S)
            if job is None:
                continue
            try:
                with self.tutors.open(self._engine) as tutor:
                    self._lesson(tutor, job)
            except Exception as error:  # of any kind: a camera is not ended by what is taught to it
                self._fail(error)
                self._holding.release()
                self._forget_jobs()

    def _lesson(self, tutor: Tutor, job: Job | None) -> None:
        """Do what is asked for until nothing was for a while."""
        self._note(tutor)
        new, quiet_since = self._book.unlearned > 0, self._now()
        while job is not None or (self._now() - quiet_since < self._idle_s and not self._ending.is_set()):
            if job is not None:
                new = self._try(tutor, job) or new
                quiet_since = self._now()
            elif new and self._holding.hold is None:
                new = False
                self._try(tutor, self._learn)
            job = self._next(TICK_S)
        if new:
            self._try(tutor, self._learn)

    def _learn(self, tutor: Tutor) -> bool:
        self._busy = "learning"
        self._changed()
        try:
            tutor.fit()
        except DataError as error:
            self._advice = str(error)
        else:
            self._advice = ""
            self._answer_by(tutor.notebook())
        finally:
            self._busy = ""
        return False

    def _answer_by(self, book: Notebook) -> None:
        self.choice.choose(self.choice.base if book.version is None else self.tutors.name)

    def _look_and_take(self, tutor: Tutor, shot: Shot, hold: Hold) -> bool:
        before = self._last[1] if self._last is not None and self._last[0] == shot.label else None
        self._quality = judge(shot.frame, before)
        change = self._quality.change
        same = before is not None and change is not None and change < DIFFERENT
        if same or (self._quality.complaints and not hold.anyway):
            self._changed()
            return False
        took = tutor.add(shot)
        self._alike = took != "new"
        self._last, self._taken = (shot.label, shot.frame), self._taken + (took != "known")
        return took != "known"

    def _try(self, tutor: Tutor, job: Job) -> bool:
        try:
            return job(tutor)
        except (EdgecamError, OSError) as error:
            self._fail(error)
            self._holding.release()
            return False
        finally:
            self._note(tutor)

    def _read(self) -> None:
        """What was taught before, for those who only look."""
        try:
            self._book = self.tutors.look()
        except (EdgecamError, OSError) as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._trouble = str(error) if isinstance(error, EdgecamError) else repr(error)
        self._changed()

    def _note(self, tutor: Tutor) -> None:
        self._book = tutor.notebook()
        self._changed()

    def _changed(self) -> None:
        self.changes += 1
        self._listen()

    def _ask(self, page: str, job: Job) -> None:
        self._holding.claim(page)
        self._trouble = ""
        self._put(job)

    def _put(self, job: Job) -> None:
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            raise Busy from None

    def _next(self, seconds: float) -> Job | None:
        try:
            return self._queue.get(timeout=seconds)
        except queue.Empty:
            return None

    def _forget_jobs(self) -> None:
        while self._next(0.0) is not None:
            pass
