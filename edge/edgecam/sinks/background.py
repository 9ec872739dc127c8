"""A thread that does a sink's slow work in order, behind a queue that is bounded by bytes."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

LIMIT_BYTES: Final = 64 << 20  # of frames that wait: 24 of 1280 x 720
LEAVE_S: Final = 10.0  # longest that the end of a live run waits for a disk that hangs

Job = Callable[[], None]


class Background:
    """What does not fit is dropped and counted; or, with `wait`, the caller waits and nothing is lost.

    The first error of a job ends the work; it is raised by the next `put`, or by `close`.
    """

    def __init__(
        self,
        name: str,
        *,
        wait: bool,
        rest: Callable[[], bool] = lambda: False,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        """`rest` is called while there is nothing to do, for as long as it returns True."""
        self.dropped = 0
        self._wait, self._rest, self._limit_bytes = wait, rest, limit_bytes
        self._changed = threading.Condition()
        self._jobs: deque[tuple[Job, int]] = deque()
        self._bytes = 0
        self._closing = False
        self._error: BaseException | None = None
        self._broken = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Callable[[], Job], nbytes: int) -> bool:
        """Queue the job that `job` makes; it is made only if there is room. A job of 0 bytes always fits."""
        with self._changed:
            self._raise()
            if self._broken:
                return False
            while nbytes and self._jobs and self._bytes + nbytes > self._limit_bytes:
                if not self._wait or self._closing:
                    self.dropped += 1
                    return False
                self._changed.wait()
                self._raise()
                if self._broken:
                    return False
            self._jobs.append((job(), nbytes))
            self._bytes += nbytes
            self._changed.notify_all()
        return True

    def close(self) -> bool:
        """Do what waits; False if that hangs. Raises a job's error. Safe to call twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(None if self._wait else LEAVE_S)
        with self._changed:
            self._raise()
        return not self._thread.is_alive()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _work(self) -> None:
        try:
            while (job := self._next()) is not None:
                job()
        except BaseException as error:
            with self._changed:
                self._error, self._broken = error, True
                self._jobs.clear()
                self._changed.notify_all()

    def _next(self) -> Job | None:
        """The next job; None at the end."""
        while True:
            with self._changed:
                if self._jobs:
                    job, nbytes = self._jobs.popleft()
                    self._bytes -= nbytes
                    self._changed.notify_all()
                    return job
                if self._closing:
                    return None
            if not self._rest():
                with self._changed:
                    if not self._jobs and not self._closing:
                        self._changed.wait()
