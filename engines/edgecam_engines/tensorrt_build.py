"""From an ONNX file to a TensorRT plan, with what must be known about it in a file beside.

Precision is in the ONNX file (Q/DQ nodes, casts), so the network is strongly typed: no calibrator and
no precision flag, which is one path for TensorRT 10.3 to 11. The module is an argument: `tensorrt` on
the device, or `tensorrt_rtx`, whose builder needs no GPU and so compiles the same graph with this code.
Nothing here imports either.
"""

import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Final

from edgecam_engines.cuda import Device
from edgecam_engines.errors import BackendUnavailable, BuildFailed, StalePlan
from edgecam_engines.files import sha256_of, write_atomically, write_json

MAX_BATCH: Final = 8  # plans take 1..MAX_BATCH frames; the kernels are chosen for one, as a camera gives it
_LOG_LINES: Final = 20_000
# Operators that only move data, with the data as their first input.
_MOVES: Final = frozenset({"Transpose", "Reshape", "Slice", "Gather", "Squeeze", "Unsqueeze", "Identity"})


@dataclass(frozen=True)
class Target:
    """What a plan is made for."""

    device: str  # the GPU's name
    compute_capability: str  # "8.7"
    cuda: str  # version of the CUDA runtime
    on_cpu: bool = False  # cross-compiled without a GPU: proves that the graph compiles, cannot run


# There is no SM87 among the cross-compiler's targets, so such a plan is never one for Orin.
CPU_TARGET: Final = Target("none, compiled on a processor for SM86", "8.6", "none", on_cpu=True)


@dataclass(frozen=True)
class Sidecar:
    """What stands in NAME.plan.json. The plan itself has no prefix, so that trtexec reads it."""

    onnx_sha256: str
    plan_sha256: str
    library: str  # "tensorrt" or "tensorrt_rtx": their plans are not interchangeable
    tensorrt: str  # version
    cuda: str
    compute_capability: str
    device: str
    precision: str
    profile: list[list[int]]  # the smallest, the usual and the largest input, (n, h, w, 3) each
    schema: int = 1


def target_of(device: Device) -> Target:
    """This machine's GPU as a target."""
    return Target(device.name, device.compute_capability, device.runtime)


def build_plan(
    onnx: Path,
    plan: Path,
    *,
    trt: Any,
    target: Target,
    precision: str,
    max_batch: int = MAX_BATCH,
    on_phase: Callable[[str], object] = lambda _: None,
) -> Sidecar:
    """Compile `onnx` to `plan`; write plan.json beside, last, and plan.log in any case.

    Takes minutes on a device. Ctrl-C ends it at the builder's next step and leaves the former plan
    alone. `on_phase` is told what the builder does, from another thread. Raises BuildFailed with the
    names of the nodes, BackendUnavailable for a TensorRT that is too old, OutputError.
    """
    if not hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        raise BackendUnavailable(
            f"TensorRT {trt.__version__} cannot build strongly typed networks; edgecam needs 10.3 or later.\n"
            f"JetPack 6.1 brings it. Until then, use the processor:\n"
            f"    edgecam build-engine RUN --out NAME.edgecam --backend onnxruntime"
        )
    logger = logger_of(trt)
    logger.lines.clear()
    watch = _watch(trt, on_phase)
    compiler = _Compiler(trt, target, plan, logger, watch)
    try:
        content, profile = _interruptible(lambda: compiler.compile(onnx, max_batch), watch)
    finally:
        write_atomically(log_path(plan), "\n".join(logger.lines) + "\n")
    sidecar = Sidecar(
        onnx_sha256=sha256_of(onnx),
        plan_sha256=hashlib.sha256(content).hexdigest(),
        library=trt.__name__,
        tensorrt=str(trt.__version__),
        cuda=target.cuda,
        compute_capability=target.compute_capability,
        device=target.device,
        precision=precision,
        profile=profile,
    )
    # A plan without its sidecar is no plan: whatever interrupts us here, nothing can be mistaken.
    sidecar_path(plan).unlink(missing_ok=True)
    write_atomically(plan, content)
    write_json(sidecar_path(plan), asdict(sidecar))
    return sidecar


def sidecar_path(plan: Path) -> Path:
    return plan.with_name(plan.name + ".json")


def log_path(plan: Path) -> Path:
    return plan.with_name(plan.name + ".log")


def read_sidecar(plan: Path) -> Sidecar:
    """Read what build_plan wrote beside a plan. Raises StalePlan when it is not there or anything else."""
    try:
        document = json.loads(sidecar_path(plan).read_text(encoding="utf-8"))
        if set(document) != {field.name for field in fields(Sidecar)} or document["schema"] != 1:
            raise ValueError("it has other keys")
        return Sidecar(**document)
    except FileNotFoundError as error:
        raise stale(f"There is no TensorRT plan {plan.name} for this GPU yet") from error
    except (OSError, ValueError, TypeError) as error:
        raise stale(
            f"{sidecar_path(plan).name} is not what edgecam writes beside a plan ({error})"
        ) from error


def stale(what: str) -> StalePlan:
    """The error for a plan that cannot be used here, its first line one sentence."""
    return StalePlan(
        f"{what}.\nA plan belongs to the model, the GPU and the TensorRT that made it. Build it again here:\n"
        f"    edgecam build-engine RUN --out NAME.edgecam --backend tensorrt"
    )


class _Compiler:
    """One run of parser and builder. Everything that TensorRT makes lives until `compile` returns."""

    def __init__(self, trt: Any, target: Target, plan: Path, logger: Any, watch: Any) -> None:
        self.trt, self.target, self.plan, self.logger, self.watch = trt, target, plan, logger, watch

    def compile(self, onnx: Path, max_batch: int) -> tuple[bytes, list[list[int]]]:
        trt = self.trt
        builder = trt.Builder(self.logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, self.logger)
        if not parser.parse(cast_first(onnx)):
            raise self._failed(f"TensorRT's parser refused {onnx.name}", _parser_errors(parser))
        image = self._image(network, onnx)
        config = builder.create_builder_config()
        config.progress_monitor = self.watch
        shapes = _profile_shapes(tuple(image.shape), max_batch)
        profile = builder.create_optimization_profile()
        profile.set_shape(image.name, *shapes)
        if config.add_optimization_profile(profile) < 0:
            raise self._failed(f"TensorRT refused the batches {shapes} for {onnx.name}", self._complaints())
        timings = None
        if self.target.on_cpu:
            _configure_for_cpu(trt, config)
        else:
            timings = self._timing_cache(config)
        compiled = builder.build_serialized_network(network, config)
        if compiled is None:
            raise self._failed(f"TensorRT could not build {onnx.name}", self._complaints())
        if timings is not None:
            write_atomically(self._timings, bytes(config.get_timing_cache().serialize()))
        return bytes(compiled), [list(shape) for shape in shapes]

    def _image(self, network: Any, onnx: Path) -> Any:
        """The one input, after checking that the network is one that the runner can run."""
        trt = self.trt
        inputs = [network.get_input(i) for i in range(network.num_inputs)]
        outputs = [network.get_output(i) for i in range(network.num_outputs)]
        told = ", ".join(f"{t.name} {t.dtype} {tuple(t.shape)}" for t in inputs + outputs)
        fits = (
            len(inputs) == len(outputs) == 1
            and inputs[0].dtype == trt.DataType.UINT8
            and len(inputs[0].shape) == len(outputs[0].shape) == 4
            and inputs[0].shape[3] == 3
            and outputs[0].dtype in (trt.DataType.FLOAT, trt.DataType.HALF)
        )
        if not fits:
            raise BuildFailed(
                f"{onnx.name} has {told}: not one uint8 image (n, h, w, 3) in and one float feature map "
                f"(n, d, gh, gw) out. It was not exported by edgecam; build the bundle again with:\n"
                f"    edgecam build-engine RUN --out NAME.edgecam"
            )
        return inputs[0]

    @property
    def _timings(self) -> Path:
        return self.plan.with_name(f"timing-{self.trt.__version__}.cache")

    def _timing_cache(self, config: Any) -> Any:
        """Kernel timings of former builds on this device, so that the next build is quick; None without."""
        if not hasattr(config, "create_timing_cache"):
            return None
        known = self._timings.read_bytes() if self._timings.is_file() else b""
        timings = config.create_timing_cache(known)
        if timings is None or not config.set_timing_cache(timings, False):
            timings = config.create_timing_cache(b"")  # of another driver, or damaged: only time is lost
            config.set_timing_cache(timings, False)
        return timings

    def _complaints(self) -> str:
        said = [line.partition(": ")[2] for line in self.logger.lines if line.startswith("ERROR")]
        return "\n".join(f"  {line}" for line in said[-3:]) or "  (it gave no reason)"

    def _failed(self, what: str, why: str) -> BuildFailed:
        return BuildFailed(
            f"{what}:\n{why}\n"
            f"The whole log is {log_path(self.plan)}. Choose another precision, or the processor:\n"
            f"    edgecam build-engine RUN --out NAME.edgecam --backend onnxruntime"
        )


def cast_first(onnx: Path) -> bytes:
    """The model with its uint8 image cast before it is moved, since TensorRT moves no uint8.

    Our export transposes bytes and casts then, which is the fastest order for a processor. TensorRT
    takes uint8 only straight into a Cast (NVIDIA/TensorRT#3985); the values are the same either way.
    Raises BuildFailed when the file is not ONNX.
    """
    from onnx import TensorProto, load

    try:
        model = load(onnx)
    except Exception as error:  # OSError, or protobuf's DecodeError, whose module is not ours to import
        raise BuildFailed(
            f"{onnx.name} cannot be read as ONNX ({error}).\nCopy the bundle again, or build it again with:\n"
            f"    edgecam build-engine RUN --out NAME.edgecam"
        ) from error
    for given in model.graph.input:
        if given.type.tensor_type.elem_type == TensorProto.UINT8:
            _cast_before_moves(model.graph, given.name)
    content: bytes = model.SerializeToString()
    return content


def _cast_before_moves(graph: Any, image: str) -> None:
    """Turn image -> moves -> Cast into image -> Cast -> moves, where it is one chain."""
    moves: list[Any] = []
    name = image
    while True:
        readers = [node for node in graph.node if name in node.input]
        if len(readers) != 1:
            return
        reader = readers[0]
        if reader.op_type == "Cast":
            break
        if reader.op_type not in _MOVES or reader.input[0] != name:
            return
        moves.append(reader)
        name = reader.output[0]
    if not moves:
        return
    result, early = reader.output[0], f"{image}_cast"
    reader.input[0], reader.output[0] = image, early
    moves[0].input[0], moves[-1].output[0] = early, result
    changed = {move.output[0] for move in moves} | {name}
    stale = [info for info in graph.value_info if info.name in changed - {result}]
    for info in stale:
        graph.value_info.remove(info)
    cast = type(reader)()
    cast.CopyFrom(reader)
    graph.node.remove(reader)
    graph.node.insert(0, cast)


def _profile_shapes(shape: tuple[int, ...], max_batch: int) -> list[tuple[int, ...]]:
    """The smallest, usual and largest input for (n, h, w, 3), where -1 stands for any n."""
    n, *hwc = shape
    return [(batch, *hwc) for batch in ((1, 1, max_batch) if n < 0 else (n, n, n))]


def _configure_for_cpu(trt: Any, config: Any) -> None:
    """What `tensorrt_rtx` needs to compile without a GPU; see CPU_TARGET."""
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)


def _parser_errors(parser: Any) -> str:
    """One line for each error: the node by name and operator, and what the parser says."""
    errors = [parser.get_error(i) for i in range(parser.num_errors)]
    lines = []
    for error in errors:
        name, operator = error.node_name(), error.node_operator()
        said = " ".join(error.desc().splitlines()[:2])
        where = name or f"number {error.node()}, without a name"
        lines.append(f"  node {where} ({operator or '?'}): {error.code().name}, {said}")
    return "\n".join(lines) or "  (it gave no reason)"


def _interruptible(work: Callable[[], Any], watch: Any) -> Any:
    """Run the builder in a thread of its own, so that Ctrl-C reaches Python and not a callback inside C++."""
    with ThreadPoolExecutor(1, thread_name_prefix="tensorrt-build") as pool:
        job = pool.submit(work)
        try:
            return job.result()
        except BuildFailed:
            if watch.error is not None:
                raise watch.error from None
            raise
        except BaseException:
            watch.stop.set()
            raise


def _watch(trt: Any, on_phase: Callable[[str], object]) -> Any:
    """A progress monitor that names the phases, and ends the build once `stop` is set."""

    class Watch(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.stop = threading.Event()
            self.error: Exception | None = None

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            try:
                on_phase(phase_name)
            except Exception as error:  # must not travel through C++; `_interruptible` raises it
                self.error = error
                self.stop.set()

        def phase_finish(self, phase_name: str) -> None:
            pass

        def step_complete(self, phase_name: str, step: int) -> bool:
            return not self.stop.is_set()

    return Watch()


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
