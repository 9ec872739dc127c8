"""A sink whose writing is done by a thread, so that a slow disk or a costly codec never slows the loop."""

from functools import partial

from edgecam.result import Result
from edgecam.sinks.background import Background
from edgecam.sinks.sink import Sink
from edgecam_engines.engine import Frame
from edgecam_engines.errors import OutputError


class Behind:
    """Frames of a live camera that do not fit are dropped and counted; a file's frames all wait."""

    def __init__(self, sink: Sink, *, live: bool) -> None:
        self.pictures = sink.pictures
        self._sink = sink
        self._background = Background("edgecam-record", wait=not live)

    @property
    def dropped(self) -> int:
        """Frames that were not written because the writing was slower than the camera."""
        return self._background.dropped

    def write(self, frame: Frame, result: Result) -> None:
        # A copy, since whoever lent the frame may use its memory again.
        self._background.put(lambda: partial(self._sink.write, frame.copy(), result), frame.nbytes)

    def close(self) -> None:
        try:
            ended = self._background.close()
        except BaseException:
            self._sink.close()
            raise
        if not ended:
            raise OutputError(
                "The disk that is recorded to does not answer, so the recording is not complete."
            )
        self._sink.close()
