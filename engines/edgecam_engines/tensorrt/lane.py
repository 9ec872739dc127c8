"""One batch size of one engine, ready to run: its execution context, and its CUDA graph once it has one."""

from collections.abc import Callable
from contextlib import ExitStack

from edgecam_engines.cuda.calls import Bytes, Cuda, Device
from edgecam_engines.errors import EngineError
from edgecam_engines.tensorrt.stopwatch import Stopwatch


class Buffer:
    """The memory of one tensor: page-locked for the CPU, and the address where the GPU uses it."""

    def __init__(self, cuda: Cuda, size: int, device: Device, stack: ExitStack) -> None:
        self._cuda = cuda
        pinned = cuda.pin(size)
        stack.callback(cuda.unpin, pinned)
        self.host: Bytes = pinned.host
        self.address = pinned.device
        self._copied = not device.integrated
        if self._copied:
            self.address = cuda.allocate(size)
            stack.callback(cuda.release, self.address)

    def push(self, size: int, stream: int) -> None:
        if self._copied:
            self._cuda.upload(self.address, self.host[:size], stream)

    def pull(self, size: int, stream: int) -> None:
        if self._copied:
            self._cuda.download(self.host[:size], self.address, stream)


class Lane:
    """A context that is set to one batch size once and for all.

    Each has a context of its own, since a CUDA graph holds what the context had set up for the shape that
    it was recorded with. The first run goes call by call: TensorRT sets itself up in it, which cannot be
    recorded. Then the same calls are recorded, and every later run is one call. With a `watch` copies go on
    their own, so that they can be told from the rest.
    """

    def __init__(
        self,
        execute: Callable[[int], object],  # puts the context's work on a stream
        cuda: Cuda,
        stream: int,
        given: tuple[Buffer, int],  # frames, and how many bytes of them a run reads
        made: tuple[Buffer, int],  # features, and how many bytes of them a run writes
        *,
        graphs: bool,
        watch: Stopwatch | None = None,
    ) -> None:
        self._execute: Callable[[int], object] | None = execute
        self._cuda, self._stream, self._given, self._made = cuda, stream, given, made
        self._to_record, self._watch = graphs, watch
        self._graph: int | None = None
        self.why_not = ""  # the reason why there is no graph, once it was tried

    def run(self) -> None:
        """Frames are in their buffer; when this returns, the features are in theirs."""
        # What a graph stands for, where there is one.
        work = self._all if self._watch is None else self._compute
        again = work if self._graph is None else self._launch
        if self._watch is None:
            again()
        else:
            self._watch.submit({"copy_in": self._push, "compute": again, "copy_out": self._pull})
        self._cuda.synchronize(self._stream)
        if self._watch is not None:
            self._watch.arrived()
        if self._to_record:
            self._to_record = False
            try:
                self._graph = self._cuda.capture(self._stream, work)
            except EngineError as error:
                self.why_not = str(error).partition("\n")[0]

    def close(self) -> None:
        """Give the graph back, then the context that it uses."""
        if self._graph is not None:
            self._cuda.discard(self._graph)
        self._graph = self._execute = None

    def _all(self) -> None:
        self._push()
        self._compute()
        self._pull()

    def _push(self) -> None:
        given, taken = self._given
        given.push(taken, self._stream)

    def _compute(self) -> None:
        assert self._execute is not None
        self._execute(self._stream)

    def _pull(self) -> None:
        made, written = self._made
        made.pull(written, self._stream)

    def _launch(self) -> None:
        assert self._graph is not None
        self._cuda.launch(self._graph, self._stream)
