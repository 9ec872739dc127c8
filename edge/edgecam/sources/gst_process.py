"""A GStreamer pipeline in a process of its own, for an OpenCV without GStreamer.

gst-launch writes frames with their format (see gdp.py) to a pipe; a thread takes them off at once and keeps
the newest. Nothing of it outlives us: the kernel kills the process when the thread that started it ends,
however it ends, and `close` ends the whole process group.
"""

import os
import shutil
import signal
import subprocess
import threading
from collections import deque
from contextlib import suppress
from functools import partial
from io import FileIO
from typing import IO, Final

from edgecam.sources import gdp, gstreamer
from edgecam.sources.capture import USUAL_FPS
from edgecam.sources.hiding import hide
from edgecam.sources.newest import Ended
from edgecam.sources.pump import Pump, Received
from edgecam_engines.engine import Frame
from edgecam_engines.errors import SourceError

FIRST_FRAME_S: Final = 15.0  # a camera's start; the first pipeline on a machine also scans all plugins
FRAME_S: Final = 5.0
END_S: Final = 1.0  # to leave by itself, which gives the camera back in order
LINES_KEPT: Final = 40
LONGEST_LINE: Final = 2000  # bytes


class GstProcess:
    """A live source. A pipeline that ends, for whatever reason, is a camera that is lost."""

    live = True
    counts_all = False  # GStreamer's own queue lets frames go as well, and tells nobody

    def __init__(self, body: str, name: str, first_frame_s: float = FIRST_FRAME_S) -> None:
        self.name = name
        self._launched = _Launched(body)
        self._pump = Pump(self._launched.receive)
        self._grabbed: Received[Frame] | None = None
        self.fps = USUAL_FPS
        self.missed = 0
        try:
            self._wait(first_frame_s)
        except BaseException:
            self.close()
            raise
        self.fps, self.missed = self._launched.fps, 0

    def grab(self) -> bool:
        self._wait(FRAME_S)
        return True

    def retrieve(self) -> Frame:
        if self._grabbed is None:
            raise SourceError(f"{self.name}: no frame was grabbed.")
        return self._grabbed.item

    def stamp(self) -> float | None:
        # When it was here. The pipeline's own clock starts with the pipeline, and nobody tells when that was.
        return None if self._grabbed is None else self._grabbed.at

    def close(self) -> None:
        self._launched.end()
        self._pump.stop()
        self._launched.close_pipe()

    def _wait(self, seconds: float) -> None:
        try:
            received = self._pump.take(seconds)
        except (EOFError, Ended):
            what = "gives no frames" if self._grabbed is None else "stopped giving frames"
            raise SourceError(f"{self.name} {what}: {self._launched.why()}") from None
        except (gdp.BadStream, OSError) as error:
            raise SourceError(f"{self.name} gives no usable frames: {error}.") from None
        if received is None:
            raise SourceError(f"{self.name} gives no frames within {seconds:g} s.")
        self._grabbed = received
        self.missed += received.missed


class _Launched:
    """The process and its pipes."""

    def __init__(self, body: str) -> None:
        self._body = body
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: FileIO | None = None
        self._frames: gdp.Frames | None = None
        self._ended = False
        self._said: deque[str] = deque(maxlen=LINES_KEPT)
        self._listener: threading.Thread | None = None

    @property
    def fps(self) -> float:
        fps = self._frames.fps if self._frames else 0.0
        return fps if 0.1 <= fps <= 1000 else USUAL_FPS

    def receive(self) -> Frame:
        """The next frame. The first call starts the process: it lives as long as the calling thread."""
        if self._frames is None:
            self._frames = gdp.Frames(self._start())
        return self._frames.next()

    def why(self) -> str:
        """What the pipeline said before it ended, in one sentence."""
        if self._listener is not None:
            self._listener.join(END_S)
        for line in self._said:
            if line.startswith(("ERROR: from element", "WARNING: erroneous pipeline", "ERROR: pipeline")):
                return hide(line.split(": ", 2)[-1])
        return hide(self._said[-1]) if self._said else "the pipeline ended."

    def close_pipe(self) -> None:
        if self._pipe is not None:
            self._pipe.close()

    def end(self) -> None:
        with self._lock:
            self._ended = True
        if self._process is not None:
            _end(self._process)
        if self._listener is not None:
            self._listener.join(END_S)

    def _start(self) -> gdp.Read:
        with self._lock:
            if self._ended:
                raise EOFError
            ours, theirs = os.pipe()
            try:
                self._process = _launch(self._body, theirs)
            except BaseException:
                os.close(ours)
                raise
            finally:
                os.close(theirs)
        assert self._process.stdout is not None
        self._listener = threading.Thread(
            target=_listen, args=(self._process.stdout, self._said), name="edgecam-gst-said", daemon=True
        )
        self._listener.start()
        self._pipe = FileIO(ours, "rb")
        return partial(_exactly, self._pipe)


def _launch(body: str, descriptor: int) -> "subprocess.Popen[bytes]":
    # A descriptor of its own, not stdout: NVIDIA's elements print there. Splitting at single blanks is what
    # gst-launch undoes, so quoted values arrive as they are.
    pipeline = gstreamer.in_process(body, descriptor).split(" ")
    tied = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    return subprocess.Popen(
        [*tied, gstreamer.LAUNCH, "-q", "--", *pipeline],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[descriptor],
        start_new_session=True,
        env={**os.environ, "LC_ALL": "C"},
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt, then kill: a camera that is not given back in order may need its service restarted."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listen(pipe: IO[bytes], said: "deque[str]") -> None:
    """Take off what it prints, so that it never waits for us; keep the last lines."""
    with pipe:
        while line := pipe.readline(LONGEST_LINE):
            if words := line.decode("utf-8", "replace").strip():
                said.append(words)


def _exactly(pipe: FileIO, count: int) -> bytearray:
    into = bytearray(count)
    view, have = memoryview(into), 0
    while have < count:
        got = pipe.readinto(view[have:])
        if not got:
            raise EOFError
        have += got
    return into
