"""Running a plan: frames in, features out, in as few calls as CUDA allows."""

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from typing import Any, Final

import numpy as np

from edgecam_engines.console import log
from edgecam_engines.cuda.calls import Cuda, Device
from edgecam_engines.engine import EngineStages, Features, Frames, check_frames
from edgecam_engines.errors import EngineError
from edgecam_engines.tensorrt.lane import Buffer, Lane
from edgecam_engines.tensorrt.plan import Sidecar, stale
from edgecam_engines.tensorrt.stopwatch import Stopwatch
from edgecam_engines.tensorrt.watch import complaints, logger_of

_LANES: Final = 3  # batch sizes that are kept ready; each holds memory of the GPU


class TensorRTEngine:
    """A plan with one uint8 (n, h, w, 3) input and one float (n, d, gh, gw) output.

    On a Jetson the GPU reads frames and writes features in place, in memory shared with the CPU; on a
    card of its own they are copied. Batches beyond the plan's profile are run in pieces. From the second
    frame on a run is one launch of a CUDA graph, where the device can record one.
    """

    def __init__(
        self, plan: bytes, built: Sidecar, *, trt: Any, cuda: Cuda, device: Device, graphs: bool = True
    ) -> None:
        self.name = f"tensorrt{'' if built.dla is None else f'-dla{built.dla}'}-{built.precision}"
        self._trt, self._cuda, self._logger, self._graphs = trt, cuda, logger_of(trt), graphs
        self._device = device
        self._watch: Stopwatch | None = None
        self.last_stages: EngineStages | None = None
        self._logger.lines.clear()  # so that a complaint quoted below is about this plan
        self._runtime: Any = trt.Runtime(self._logger)
        if built.dla is not None:
            self._runtime.DLA_core = built.dla
        self._engine: Any = self._load(plan, built)
        self._lanes: dict[int, Lane] = {}  # by batch size, the one used last at the end
        frame, feature = int(np.prod(self.input_hw)) * 3, int(np.prod(self._feature_dhw)) * self._item_size
        with ExitStack() as stack:
            self._stream = cuda.stream()
            stack.callback(cuda.destroy, self._stream)
            self._given = Buffer(cuda, frame * self._largest, device, stack)
            self._made = Buffer(cuda, feature * self._largest, device, stack)
            self._lane(self._smallest)  # so that what cannot run says so when it is opened
            self._memory = stack.pop_all()

    def infer(self, frames: Frames, /) -> Features:
        if self._engine is None:
            raise EngineError("This engine is closed. Open the bundle again.")
        check_frames(frames, self.input_hw)
        if self._watch is not None:
            self._watch.begin()
        pieces = [self._run(frames[i : i + self._largest]) for i in range(0, len(frames), self._largest)]
        if self._watch is not None:
            self.last_stages = self._watch.stages
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def watch(self, clock: Callable[[], float], /) -> None:
        """Tell stages apart from now on, as `Staged` has it. The next run of each batch size sets up anew."""
        self._close_lanes()
        self._watch = Stopwatch(self._cuda, self._stream, self._device, clock, self._memory)

    def close(self) -> None:
        # The users of the memory go first, what made them next, the memory last.
        self._close_lanes()
        self._engine = None
        self._runtime = None
        self._memory.close()

    def _close_lanes(self) -> None:
        for lane in self._lanes.values():
            lane.close()
        self._lanes.clear()

    def _load(self, plan: bytes, built: Sidecar) -> Any:
        """The deserialized engine; sets what it says of its two tensors."""
        trt = self._trt
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise stale(
                f"TensorRT {trt.__version__} cannot load the plan of {self.name} ({self._complaint()})"
            )
        modes = {
            name: engine.get_tensor_mode(name)
            for name in (engine.get_tensor_name(i) for i in range(engine.num_io_tensors))
        }
        (self._input,) = (name for name, mode in modes.items() if mode == trt.TensorIOMode.INPUT)
        (self._output,) = (name for name, mode in modes.items() if mode == trt.TensorIOMode.OUTPUT)
        profile = [[int(side) for side in shape] for shape in engine.get_tensor_profile_shape(self._input, 0)]
        if profile != built.profile:
            raise stale(f"The plan of {self.name} takes {profile}, but {built.profile} stands beside it")
        (self._smallest, *_), _, (self._largest, *hwc) = profile
        self.input_hw = (hwc[0], hwc[1])
        self._feature_dhw = tuple(int(side) for side in engine.get_tensor_shape(self._output))[1:]
        half = engine.get_tensor_dtype(self._output) == trt.DataType.HALF
        self._feature_type: np.dtype[Any] = np.dtype(np.float16 if half else np.float32)
        self._item_size = self._feature_type.itemsize
        return engine

    def _run(self, frames: Frames) -> Features:
        """Up to `largest` frames in one execution."""
        n = len(frames)
        lane = self._lane(max(n, self._smallest))
        with nullcontext() if self._watch is None else self._watch.host("copy_in"):
            np.copyto(self._given.host[: frames.nbytes].reshape(frames.shape), frames)
        lane.run()
        if lane.why_not and self._graphs:
            self._graphs = False  # said and tried once: what one batch size cannot, none can
            log.print(f"{self.name} runs without a CUDA graph, a little slower: {lane.why_not}", markup=False)
        size = n * int(np.prod(self._feature_dhw)) * self._item_size
        made = self._made.host[:size].view(self._feature_type).reshape(n, *self._feature_dhw)
        with nullcontext() if self._watch is None else self._watch.host("copy_out"):
            return made.astype(np.float32)  # a copy, since the next frames are written over the buffer

    def _lane(self, batch: int) -> Lane:
        """The lane of a batch size; the one that was not used for longest makes room for a new one."""
        lane = self._lanes.pop(batch, None)
        if lane is None:
            if len(self._lanes) == _LANES:
                self._lanes.pop(next(iter(self._lanes))).close()
            context = self._context()
            self._do(context, "set_input_shape", self._input, (batch, *self.input_hw, 3))
            self._do(context, "set_tensor_address", self._input, self._given.address)
            self._do(context, "set_tensor_address", self._output, self._made.address)
            frame, feature = int(np.prod(self.input_hw)) * 3, int(np.prod(self._feature_dhw))
            lane = Lane(
                lambda stream: self._do(context, "execute_async_v3", stream),
                self._cuda,
                self._stream,
                (self._given, batch * frame),
                (self._made, batch * feature * self._item_size),
                graphs=self._graphs,
                watch=self._watch,
            )
        self._lanes[batch] = lane
        return lane

    def _context(self) -> Any:
        context = self._engine.create_execution_context()
        if context is None:
            raise EngineError(
                f"TensorRT has no memory to run {self.name} ({self._complaint()}).\n"
                f"Close other programs that use the GPU, then run the same command again."
            )
        return context

    def _do(self, context: Any, call: str, /, *arguments: Any) -> None:
        """One call on a context; TensorRT answers False where Python would raise."""
        if not getattr(context, call)(*arguments):
            raise EngineError(
                f"TensorRT refused {call} in {self.name} ({self._complaint()}).\n"
                f"`edgecam doctor` shows the state of the GPU. If it is well, build the engine again:\n"
                f"    edgecam build-engine RUN --out NAME.edgecam --backend tensorrt"
            )

    def _complaint(self) -> str:
        return (complaints(self._logger) or ["it gave no reason"])[-1]
