"""The scenario camera with a real camera: its frames as `edgecam run` gets them, from a process that reads.

A frame is due when it was captured, so latency is its age at the answer. `capture` is the part of it until
the frame was in hand: decoding, the way from the reader's process, and waiting while the loop was busy.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, Protocol

from edgecam.bench.names import CAMERA
from edgecam.bench.record import Marks, Run
from edgecam.bench.scenarios import Work, warm
from edgecam.bench.timing import Time
from edgecam.isolation.process import Job
from edgecam.isolation.reader import ProcessReader
from edgecam.logs import say
from edgecam.sources.newest import Ended
from edgecam.sources.source import Shot
from edgecam_engines.engine import Frame
from edgecam_engines.errors import MeasurementError

PATIENCE_S: Final = 10.0  # without a frame

Take = Callable[[], Shot | None]  # the newest frame, waited for; None when there are no more


class Camera(NamedTuple):
    """A camera that is open."""

    name: str  # never holds a password
    fps: float  # as announced
    take: Take


class ShownTo(Work, Protocol):
    """Work that takes frames from outside too."""

    def show(self, frame: Frame, /) -> None:
        """Have this frame at hand. Not timed."""
        ...


@contextmanager
def open_camera(uri: str) -> Iterator[Camera]:
    """Read as `edgecam run --realtime` does: a file at its own pace. Raises SourceError."""
    reader = ProcessReader(Job(uri, realtime=True), say)
    try:
        reader.wait_open()

        def take() -> Shot | None:
            try:
                shot = reader.take(PATIENCE_S)
            except Ended:
                return None
            if shot is None:
                raise MeasurementError(
                    f"{reader.name} gave no frame for {PATIENCE_S:.0f} s.\n"
                    f"See whether it works with: edgecam devices URI"
                )
            return shot

        yield Camera(reader.name, reader.fps, take)
    finally:
        reader.stop()


def live(work: ShownTo, time: Time, take: Take, *, frames: int, warm_up: int = 0) -> Run:
    """Until the camera has given `frames` frames, or ends. What it gave and nobody looked at is dropped.

    `time` is the monotonic clock, on which the camera's frames are dated.
    """
    warmed, marks = warm(work, time, warm_up), Marks()
    first = take()  # it has waited since before the warm-up
    zero, looked, dropped = time.now(), 0, 0
    before = 0 if first is None else first.skipped
    while first is not None and looked + dropped < frames and (shot := take()) is not None:
        work.show(shot.frame)
        cpu, started = time.cpu(), time.now() - zero
        work.answer(1)
        marks.add(shot.captured - zero, started, time.now() - zero, time.cpu() - cpu)
        looked, dropped = looked + 1, shot.skipped - before
    if not looked:
        raise MeasurementError("The camera gave too few frames to measure anything.")
    return marks.run(CAMERA, 1, warmed, dropped=dropped)
