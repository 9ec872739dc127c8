"""From an ONNX file to a TensorRT plan, with what must be known about it in files beside.

Precision is in the ONNX file (Q/DQ nodes, casts), so the network is strongly typed: no calibrator and
no precision flag, which is one path for TensorRT 10.3 to 11; the DLA alone is another (`dla`). The
module is an argument: `tensorrt` on the device, or `tensorrt_rtx`, whose builder needs no GPU and so
compiles the same graph with this code. Nothing here imports either.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from edgecam_engines.cuda.calls import Device
from edgecam_engines.errors import BackendUnavailable, BuildFailed
from edgecam_engines.files import sha256_of, write_atomically, write_json
from edgecam_engines.lint import lint_model, told
from edgecam_engines.onnx_file import read_onnx
from edgecam_engines.tensorrt.dla import Source, check_core, configure, give_ranges, read_scales, weakly_typed
from edgecam_engines.tensorrt.graph import cast_first
from edgecam_engines.tensorrt.inspect import inspect_engine, layers_of
from edgecam_engines.tensorrt.memory import available_memory, limit_workspace, plan_memory
from edgecam_engines.tensorrt.plan import Sidecar, layers_path, log_path, sidecar_path
from edgecam_engines.tensorrt.watch import Progress, complaints, interruptible, logger_of, watch

MAX_BATCH: Final = 8  # plans take 1..MAX_BATCH frames; the kernels are chosen for one, as a camera gives it


@dataclass(frozen=True)
class Target:
    """What a plan is made for."""

    device: str  # the GPU's name
    compute_capability: str  # "8.7"
    cuda: str  # version of the CUDA runtime
    shares_memory: bool = False  # the GPU's memory is the processor's, as on every Jetson
    on_cpu: bool = False  # cross-compiled without a GPU: proves that the graph compiles, cannot run
    dla: int | None = None  # core of the deep learning accelerator


# There is no SM87 among the cross-compiler's targets, so such a plan is never one for Orin.
CPU_TARGET: Final = Target("none, compiled on a processor for SM86", "8.6", "none", on_cpu=True)


class Compiled(NamedTuple):
    """What the builder gave."""

    plan: bytes
    profile: list[list[int]]  # smallest, usual, largest input
    report: dict[str, Any]  # of the engine inspector; empty where there is no GPU to load the engine on


def target_of(device: Device, dla: int | None = None) -> Target:
    """This machine's GPU, or a DLA core beside it, as a target."""
    return Target(
        device.name, device.compute_capability, device.runtime, shares_memory=device.integrated, dla=dla
    )


def build_plan(
    onnx: Path | Source,
    plan: Path,
    *,
    trt: Any,
    target: Target,
    precision: str,
    max_batch: int = MAX_BATCH,
    on_progress: Callable[[Progress], object] = lambda _: None,
    on_warning: Callable[[str], object] = lambda _: None,
    available: Callable[[], int | None] = available_memory,
) -> Sidecar:
    """Compile `onnx` to `plan`; write plan.json beside, last, plan.layers.json, and plan.log in any case.

    Takes minutes on a device. Ctrl-C ends it at the builder's next step and leaves the former plan
    alone. `on_progress` is told what the builder does, from another thread. Raises BuildFailed with the
    names of the nodes or for want of memory, BackendUnavailable for a TensorRT that is too old or has no
    such DLA, OutputError.
    """
    source = onnx if isinstance(onnx, Source) else Source(onnx)
    if not hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        raise BackendUnavailable(
            f"TensorRT {trt.__version__} cannot build strongly typed networks; edgecam needs 10.3 or later.\n"
            f"JetPack 6.1 brings it. Until then, use the processor:\n"
            f"    edgecam build-engine RUN --out NAME.edgecam --backend onnxruntime"
        )
    logger = logger_of(trt)
    logger.lines.clear()
    watching = watch(trt, on_progress)
    compiler = _Compiler(trt, target, plan, precision, watching, available, on_warning)
    try:
        compiled = interruptible(lambda: compiler.compile(source, max_batch), watching)
    finally:
        write_atomically(log_path(plan), "\n".join(logger.lines) + "\n")
    sidecar = Sidecar(
        onnx_sha256=digest_of(source),
        plan_sha256=hashlib.sha256(compiled.plan).hexdigest(),
        library=trt.__name__,
        tensorrt=str(trt.__version__),
        cuda=target.cuda,
        compute_capability=target.compute_capability,
        device=target.device,
        precision=precision,
        max_batch=max_batch,
        dla=target.dla,
        profile=compiled.profile,
    )
    # A plan without its sidecar is no plan: whatever interrupts us here, nothing can be mistaken.
    sidecar_path(plan).unlink(missing_ok=True)
    write_atomically(plan, compiled.plan)
    layers = layers_of(compiled.report, precision)
    write_json(layers_path(plan), {"summary": layers.document(), "inspector": compiled.report})
    write_json(sidecar_path(plan), asdict(sidecar))
    return sidecar


def digest_of(source: Source) -> str:
    """SHA-256 of the ONNX file, or of several files' digests in order."""
    digests = [sha256_of(file) for file in source.files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


class _Compiler:
    """One run of parser and builder. Everything that TensorRT makes lives until `compile` returns."""

    def __init__(
        self,
        trt: Any,
        target: Target,
        plan: Path,
        precision: str,
        watching: Any,
        available: Callable[[], int | None],
        on_warning: Callable[[str], object],
    ) -> None:
        self.trt, self.target, self.plan, self.precision = trt, target, plan, precision
        self.watching, self.available, self.warn = watching, available, on_warning
        self.logger = logger_of(trt)

    def compile(self, source: Source, max_batch: int) -> Compiled:
        trt, onnx = self.trt, source.onnx
        builder = trt.Builder(self.logger)
        if self.target.dla is not None:
            check_core(trt, builder, self.target.dla)
        network = builder.create_network(self._typing())
        parser = trt.OnnxParser(network, self.logger)
        if not parser.parse(cast_first(read_onnx(onnx), onnx.name)):
            raise self._failed(f"TensorRT's parser refused {onnx.name}", _parser_errors(parser), onnx)
        image = self._image(network, onnx)
        config = builder.create_builder_config()
        config.progress_monitor = self.watching
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that the inspector tells precisions
        shapes = _profile_shapes(tuple(image.shape), max_batch)
        profile = builder.create_optimization_profile()
        profile.set_shape(image.name, *shapes)
        if config.add_optimization_profile(profile) < 0:
            raise self._failed(f"TensorRT refused the batches {shapes} for {onnx.name}", "", onnx)
        timings = None
        if self.target.on_cpu:
            _configure_for_cpu(trt, config)
        else:
            self._limit_memory(config, network, onnx, shapes[-1])
            timings = self._timing_cache(config)
        if self.target.dla is not None:
            configure(trt, config, self.target.dla, self.precision)
            if source.scales is not None:
                give_ranges(network, read_scales(source.scales), source.scales.name)
        compiled = builder.build_serialized_network(network, config)
        if compiled is None:
            raise self._failed(f"TensorRT could not build {onnx.name}", "", onnx)
        if timings is not None:
            write_atomically(self._timings, bytes(config.get_timing_cache().serialize()))
        content = bytes(compiled)
        report = {} if self.target.on_cpu else self._inspect(content, image.name, shapes[1], onnx)
        return Compiled(content, [list(shape) for shape in shapes], report)

    def _typing(self) -> int:
        """Strongly typed, but for a DLA where precision is a matter of flags."""
        trt = self.trt
        if self.target.dla is not None and weakly_typed(trt):
            return 0
        return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)

    def _image(self, network: Any, onnx: Path) -> Any:
        """The one input, after checking that the network is one that the runner can run."""
        trt = self.trt
        inputs = [network.get_input(i) for i in range(network.num_inputs)]
        outputs = [network.get_output(i) for i in range(network.num_outputs)]
        said = ", ".join(f"{t.name} {t.dtype} {tuple(t.shape)}" for t in inputs + outputs)
        fits = (
            len(inputs) == len(outputs) == 1
            and inputs[0].dtype == trt.DataType.UINT8
            and len(inputs[0].shape) == len(outputs[0].shape) == 4
            and inputs[0].shape[3] == 3
            and min(tuple(inputs[0].shape)[1:] + tuple(outputs[0].shape)[1:]) > 0
            and outputs[0].dtype in (trt.DataType.FLOAT, trt.DataType.HALF)
        )
        if not fits:
            raise BuildFailed(
                f"{onnx.name} has {said}: not one uint8 image (n, h, w, 3) in and one float feature map "
                f"(n, d, gh, gw) out. It was not exported by edgecam; build the bundle again with:\n"
                f"    edgecam build-engine RUN --out NAME.edgecam"
            )
        return inputs[0]

    def _limit_memory(self, config: Any, network: Any, onnx: Path, largest: tuple[int, ...]) -> None:
        """Refuse or warn where memory is short, and leave what the cameras need."""
        activations = _activation_bytes(network, largest)
        budget = plan_memory(onnx.name, onnx.stat().st_size, activations, self.available())
        if budget.warning:
            self.warn(budget.warning)
        if self.target.shares_memory:
            limit_workspace(self.trt, config, budget.workspace)

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

    def _inspect(self, plan: bytes, image: str, shape: tuple[int, ...], onnx: Path) -> dict[str, Any]:
        """The engine inspector's report for the usual input; the engine is loaded for it and let go."""
        runtime = self.trt.Runtime(self.logger)
        if self.target.dla is not None:
            runtime.DLA_core = self.target.dla
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise self._failed(f"TensorRT cannot load what it built from {onnx.name}", "", onnx)
        return inspect_engine(self.trt, engine, image, shape)

    def _failed(self, what: str, why: str, onnx: Path) -> BuildFailed:
        said = why or "\n".join(f"  {line}" for line in complaints(self.logger)[-3:])
        findings = told([finding for finding in lint_model(onnx) if finding.severity == "error"])
        hints = f"What edgecam sees in the model:\n{findings}\n" if findings else ""
        return BuildFailed(
            f"{what}:\n{said or '  (it gave no reason)'}\n{hints}"
            f"The whole log is {log_path(self.plan)}. Choose another precision, or the processor:\n"
            f"    edgecam build-engine RUN --out NAME.edgecam --backend onnxruntime"
        )


def _profile_shapes(shape: tuple[int, ...], max_batch: int) -> list[tuple[int, ...]]:
    """The smallest, usual and largest input for (n, h, w, 3), where -1 stands for any n."""
    n, *hwc = shape
    return [(batch, *hwc) for batch in ((1, 1, max_batch) if n < 0 else (n, n, n))]


def _activation_bytes(network: Any, largest: tuple[int, ...]) -> int:
    """Twice the largest tensor in float32 for the largest batch: what a chain of layers needs at once."""
    layers = (network.get_layer(i) for i in range(network.num_layers))
    shapes = [layer.get_output(i).shape for layer in layers for i in range(layer.num_outputs)]
    most = 0
    for shape in (largest, *shapes):
        size = 4
        for side in shape:
            size *= largest[0] if side < 0 else side
        most = max(most, size)
    return 2 * most


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
