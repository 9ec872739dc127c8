"""What TensorRT tells while it works: its log, and how far a build has come."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, NamedTuple

from edgecam_engines.console import bar
from edgecam_engines.errors import BuildFailed

_LOG_LINES: Final = 20_000


class Progress(NamedTuple):
    """One report of the builder."""

    phase: str  # in TensorRT's words
    done: int  # steps of it
    steps: int
    depth: int  # 0 for a phase that is not part of another


@cache
def logger_of(trt: Any) -> Any:
    """The one logger of a TensorRT module, with its last lines in `lines`.

    One for the process, never freed: the library keeps a bare pointer to the first that it was given.
    """

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: deque[str] = deque(maxlen=_LOG_LINES)

        def log(self, severity: Any, msg: str) -> None:
            if severity != trt.ILogger.VERBOSE:
                self.lines.append(f"{severity.name}: {msg}")

    return Log()


def complaints(logger: Any) -> list[str]:
    """What was logged as an error, in order."""
    return [line.partition(": ")[2] for line in logger.lines if line.startswith("ERROR")]


def watch(trt: Any, on_progress: Callable[[Progress], object]) -> Any:
    """A progress monitor that passes on what it is told, and ends the build once `stop` is set.

    It is called from a thread of the builder. An error of the listener ends the build and is kept in
    `error`, since none may travel through C++.
    """

    class Watch(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.stop = threading.Event()
            self.error: Exception | None = None
            self._phases: dict[str, tuple[int, int]] = {}  # name -> steps, depth

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            above = self._phases.get(parent_phase or "")
            self._phases[phase_name] = (num_steps, 0 if above is None else above[1] + 1)
            self._tell(phase_name, 0)

        def phase_finish(self, phase_name: str) -> None:
            if phase_name in self._phases:
                self._tell(phase_name, self._phases[phase_name][0])
                del self._phases[phase_name]

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._phases:
                self._tell(phase_name, step + 1)
            return not self.stop.is_set()

        def _tell(self, phase: str, done: int) -> None:
            steps, depth = self._phases[phase]
            try:
                on_progress(Progress(phase, min(done, steps), steps, depth))
            except Exception as error:
                self.error = error
                self.stop.set()

    return Watch()


def interruptible(work: Callable[[], Any], watching: Any) -> Any:
    """Run the builder in a thread of its own, so that Ctrl-C reaches Python and not a callback inside C++."""
    with ThreadPoolExecutor(1, thread_name_prefix="tensorrt-build") as pool:
        job = pool.submit(work)
        try:
            return job.result()
        except BuildFailed:
            if watching.error is not None:
                raise watching.error from None
            raise
        except BaseException:
            watching.stop.set()
            raise


class Overall:
    """How much of a build is done, from phases within phases."""

    def __init__(self) -> None:
        self._open: list[tuple[int, int]] = []  # steps done, and steps, outermost first
        self._most = 0.0

    def share(self, told: Progress) -> float:
        """In [0, 1], and never less than before. A phase counts as a part of its parent's next step."""
        self._open[told.depth :] = [(told.done, told.steps)]
        value = 0.0
        for done, steps in reversed(self._open):
            value = 1.0 if done >= steps else (done + value) / steps
        self._most = max(self._most, value)
        return self._most


@contextmanager
def build_bar(what: str) -> Iterator[Callable[[Progress], None]]:
    """A bar on the terminal for one build in percent, with the phase that runs by name beside it."""
    overall = Overall()
    with bar() as progress:
        task = progress.add_task(what, total=100, note="")

        def show(told: Progress) -> None:
            progress.update(task, completed=int(100 * overall.share(told)), note=told.phase)

        yield show
