"""TensorRT on an NVIDIA GPU: the plan of this device, found, checked, built where needed, and run."""

import hashlib
import importlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from edgecam_engines.backends import Model
from edgecam_engines.console import log
from edgecam_engines.cuda import Bytes, Cuda, Device, device_key, open_cuda
from edgecam_engines.engine import Engine, Features, Frames, check_frames
from edgecam_engines.errors import BackendUnavailable, BundleDamaged, EngineError, StalePlan
from edgecam_engines.files import sha256_of
from edgecam_engines.tensorrt_build import Sidecar, build_plan, logger_of, read_sidecar, stale, target_of


def open_plan(model: Model) -> Engine:
    """Open the plan that `model` has for this GPU; build it first where there is none that fits.

    Raises BackendUnavailable (no GPU or no TensorRT), BundleDamaged (the plan was changed since it was
    built), BuildFailed, EngineError.
    """
    cuda, device = open_cuda()  # before the import: TensorRT's libraries crash without a device
    return open_on(model, trt=_tensorrt(), cuda=cuda, device=device)


def open_on(model: Model, *, trt: Any, cuda: Cuda, device: Device) -> Engine:
    """`open_plan` with everything that it finds out handed in."""
    plan = plan_path(model, device)
    try:
        return _open_checked(model, plan, trt=trt, cuda=cuda, device=device)
    except StalePlan as error:
        why = str(error).partition("\n")[0]
    log.print(f"{why} Building it from {model.path.name}; this takes some minutes, once.", markup=False)
    build_plan(model.path, plan, trt=trt, target=target_of(device), precision=model.precision)
    return _open_checked(model, plan, trt=trt, cuda=cuda, device=device)


def plan_path(model: Model, device: Device) -> Path:
    """Where the plan of this model for this kind of GPU lies, or will lie."""
    return model.plans / device_key(device) / f"{model.path.stem}.plan"


class TensorRTEngine:
    """A plan with one uint8 (n, h, w, 3) input and one float (n, d, gh, gw) output.

    On a Jetson the GPU reads frames and writes features in place, in memory shared with the CPU; on a
    card of its own they are copied. Batches beyond the plan's profile are run in pieces.
    """

    def __init__(self, plan: bytes, *, name: str, trt: Any, cuda: Cuda, device: Device) -> None:
        self.name = name
        self._trt, self._cuda, self._logger = trt, cuda, logger_of(trt)
        self._logger.lines.clear()  # so that a complaint quoted below is about this plan
        self._runtime: Any = trt.Runtime(self._logger)
        self._engine: Any = self._load(plan)
        self._context: Any = self._engine.create_execution_context()
        if self._context is None:
            raise EngineError(
                f"TensorRT has no memory to run {name} ({self._complaint()}).\n"
                f"Close other programs that use the GPU, then run the same command again."
            )
        self._batch = -1  # what the context is set to; nothing yet
        self._set_batch(self._largest)
        self._frame_size = int(np.prod(self.input_hw)) * 3  # bytes, as is the next
        self._feature_size = int(np.prod(self._feature_shape[1:])) * self._feature_type.itemsize
        with ExitStack() as stack:
            self._stream = cuda.stream()
            stack.callback(cuda.destroy, self._stream)
            self._given = _Buffer(cuda, self._frame_size * self._largest, device, stack)
            self._made = _Buffer(cuda, self._feature_size * self._largest, device, stack)
            self._do("set_tensor_address", self._input, self._given.address)
            self._do("set_tensor_address", self._output, self._made.address)
            self._memory = stack.pop_all()

    def infer(self, frames: Frames, /) -> Features:
        if self._context is None:
            raise EngineError("This engine is closed. Open the bundle again.")
        check_frames(frames, self.input_hw)
        pieces = [self._run(frames[i : i + self._largest]) for i in range(0, len(frames), self._largest)]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def close(self) -> None:
        # The user of the memory goes first, what made it next, the memory last.
        self._context = None
        self._engine = None
        self._runtime = None
        self._memory.close()

    def _load(self, plan: bytes) -> Any:
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
        smallest, _, largest = engine.get_tensor_profile_shape(self._input, 0)
        self._smallest, self._largest = int(smallest[0]), int(largest[0])
        self.input_hw = (int(largest[1]), int(largest[2]))
        half = engine.get_tensor_dtype(self._output) == trt.DataType.HALF
        self._feature_type: np.dtype[Any] = np.dtype(np.float16 if half else np.float32)
        return engine

    def _run(self, frames: Frames) -> Features:
        """Up to `largest` frames in one execution."""
        n = len(frames)
        self._set_batch(max(n, self._smallest))
        np.copyto(self._given.host[: frames.nbytes].reshape(frames.shape), frames)
        self._given.push(self._batch * self._frame_size, self._stream)
        self._do("execute_async_v3", self._stream)
        self._made.pull(self._batch * self._feature_size, self._stream)
        self._cuda.synchronize(self._stream)
        written = self._made.host[: n * self._feature_size].view(self._feature_type)
        # A copy, since the next frames are written over the buffer.
        return written.reshape(n, *self._feature_shape[1:]).astype(np.float32)

    def _set_batch(self, n: int) -> None:
        if n != self._batch:
            self._do("set_input_shape", self._input, (n, *self.input_hw, 3))
            self._batch = n
            self._feature_shape = tuple(int(side) for side in self._context.get_tensor_shape(self._output))

    def _do(self, call: str, *arguments: Any) -> None:
        """One call on the context; TensorRT answers False where Python would raise."""
        if not getattr(self._context, call)(*arguments):
            raise EngineError(
                f"TensorRT refused {call} in {self.name} ({self._complaint()}).\n"
                f"`edgecam doctor` shows the state of the GPU. If it is well, build the engine again:\n"
                f"    edgecam build-engine RUN --out NAME.edgecam --backend tensorrt"
            )

    def _complaint(self) -> str:
        said = [line.partition(": ")[2] for line in self._logger.lines if line.startswith("ERROR")]
        return said[-1] if said else "it gave no reason"


class _Buffer:
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


def _open_checked(model: Model, plan: Path, *, trt: Any, cuda: Cuda, device: Device) -> Engine:
    """Raises StalePlan when the plan is not for this model, GPU and TensorRT, BundleDamaged when changed."""
    built = read_sidecar(plan)
    _check_fresh(built, model, plan, trt, device)
    if not plan.is_file():
        raise stale(f"{plan.name} is not in its folder any more")
    content = plan.read_bytes()
    if hashlib.sha256(content).hexdigest() != built.plan_sha256:
        raise BundleDamaged(
            f"{plan.name} was changed since it was built: its SHA-256 is not that of {plan.name}.json.\n"
            f"Delete {plan.parent}; the next run builds it again."
        )
    return TensorRTEngine(content, name=f"tensorrt-{model.precision}", trt=trt, cuda=cuda, device=device)


def _check_fresh(built: Sidecar, model: Model, plan: Path, trt: Any, device: Device) -> None:
    """Raises StalePlan that says what the plan was built for and what is here."""
    library = f"{trt.__name__} {trt.__version__}"
    if (made_by := f"{built.library} {built.tensorrt}") != library:
        raise stale(f"{plan.name} was built by {made_by}, but here is {library}")
    there = f"{built.device} ({built.compute_capability})"
    if (here := f"{device.name} ({device.compute_capability})") != there:
        raise stale(f"{plan.name} was built for {there}, but this GPU is {here}")
    if built.onnx_sha256 != sha256_of(model.path):
        raise stale(f"{plan.name} was built from another {model.path.name} than the one in this bundle")


def _tensorrt() -> Any:
    """The module, or BackendUnavailable. Only to be called where CUDA has a device."""
    try:
        return importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:
        raise BackendUnavailable(
            f"There is a GPU, but TensorRT cannot be imported ({error}).\n"
            f"On a Jetson it comes with JetPack: sudo apt install python3-libnvinfer, and make the virtual "
            f"environment with --system-site-packages. Elsewhere:\n"
            f"    pip install 'edgecam[tensorrt]'"
        ) from error
