"""The last stage of the loop: handing a result to its outputs, as `edgecam run` does."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TextIO

from edgecam.result import Result
from edgecam.sinks.behind import Behind
from edgecam.sinks.jsonlines import JsonLines
from edgecam.sinks.recording import Recording
from edgecam.sinks.sink import Sink
from edgecam_engines.engine import Frame


class Publisher:
    """Writes to each output in turn. What they print goes to `nowhere`: stdout is the benchmark's own."""

    def __init__(self, sinks: Sequence[Sink], nowhere: TextIO) -> None:
        self._sinks, self._nowhere = sinks, nowhere

    def __call__(self, frame: Frame, result: Result) -> None:
        """Raises OutputError."""
        with redirect_stdout(self._nowhere):
            for sink in self._sinks:
                sink.write(frame, result)


@contextmanager
def publisher(record: Path | None, fps: float) -> Iterator[Publisher]:
    """A JSON line for each result and, where it was asked for, a video of which no frame is dropped."""
    sinks: list[Sink] = [JsonLines()]
    if record is not None:
        sinks.append(Behind(Recording(record, fps=fps, live=False), live=False))
    with Path(os.devnull).open("w") as nowhere:
        try:
            yield Publisher(sinks, nowhere)
        finally:
            for sink in sinks:
                sink.close()
