"""Every back end by name. A heavy import lives in its opener."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from edgecam_engines.engine import Engine
from edgecam_engines.errors import BackendUnavailable

if TYPE_CHECKING:
    from edgecam_engines.providers import Provider


class Model(NamedTuple):
    """What a back end needs to open one engine."""

    path: Path  # the ONNX file (a JSON file for "fixed")
    precision: str  # "fp32", "fp16", "mixed" or "int8": for the engine's name
    plans: Path  # folder for plans that belong to one device; TensorRT alone uses it
    threads: int = 1  # of the CPU, where the back end runs there
    digests: Mapping[Path, str] | None = None  # SHA-256 of each file of its bundle; None: a file alone


def open_onnxruntime(model: Model) -> Engine:
    from edgecam_engines.providers import CPU

    return _by_onnxruntime(model, CPU, {})


def open_onnxruntime_cuda(model: Model) -> Engine:
    from edgecam_engines.providers import CUDA

    return _by_onnxruntime(model, CUDA, {})


def open_onnxruntime_tensorrt(model: Model) -> Engine:
    from edgecam_engines.cuda.find import device_key
    from edgecam_engines.providers import TENSORRT, tensorrt_options
    from edgecam_engines.tensorrt.graph import cast_first

    cache = model.plans / device_key()  # asks CUDA first: TensorRT's libraries crash without a device
    cache.mkdir(parents=True, exist_ok=True)
    return _by_onnxruntime(model, TENSORRT, tensorrt_options(model.precision, cache), cast_first)


def open_onnxruntime_openvino(model: Model) -> Engine:
    from edgecam_engines.providers import OPENVINO, openvino_options

    return _by_onnxruntime(model, OPENVINO, openvino_options(model.threads))


def open_tensorrt(model: Model) -> Engine:
    from edgecam_engines.tensorrt.opener import open_plan

    return open_plan(model)


def open_on_dla(core: int) -> Callable[[Model], Engine]:
    """TensorRT on a core of a Jetson's deep learning accelerator, with the GPU for what that cannot do."""

    def open_dla(model: Model) -> Engine:
        from edgecam_engines.tensorrt.opener import open_plan

        return open_plan(model, dla=core)

    return open_dla


def open_fixed(model: Model) -> Engine:
    from edgecam_engines.fixed import load_fixed

    return load_fixed(model.path, model.digests[model.path] if model.digests is not None else None)


BACKENDS: Final[dict[str, Callable[[Model], Engine]]] = {
    "onnxruntime": open_onnxruntime,
    "onnxruntime-cuda": open_onnxruntime_cuda,
    "onnxruntime-tensorrt": open_onnxruntime_tensorrt,
    "onnxruntime-openvino": open_onnxruntime_openvino,
    "tensorrt": open_tensorrt,
    "tensorrt-dla0": open_on_dla(0),
    "tensorrt-dla1": open_on_dla(1),
    "fixed": open_fixed,
}

# Precisions with integers in them, which come in two forms.
ROUNDED: Final = ("int8", "mixed")

# GPUs take symmetric S8 and no quantized bias; processors U8 with a zero point.
_SYMMETRIC: Final = frozenset(
    {"tensorrt", "tensorrt-dla0", "tensorrt-dla1", "onnxruntime-tensorrt", "onnxruntime-cuda"}
)


def model_for(precision: str, backend: str) -> str:
    """The name, among a bundle's models, of this precision in the form that this back end wants."""
    if precision not in ROUNDED:
        return precision
    return f"{precision}-{'tensorrt' if backend in _SYMMETRIC else 'cpu'}"


def is_tensorrt(backend: str) -> bool:
    """Whether TensorRT itself runs it, on the GPU or on a DLA core."""
    return backend.startswith("tensorrt")


def open_engine(backend: str, model: Model) -> Engine:
    """Open a model with a back end by name. Raises BackendUnavailable for a name nobody has."""
    if backend not in BACKENDS:
        raise BackendUnavailable(f"There is no back end {backend!r}. Choose one of: {', '.join(BACKENDS)}.")
    return BACKENDS[backend](model)


def _by_onnxruntime(
    model: Model,
    provider: "Provider",
    options: Mapping[str, str],
    change: Callable[[bytes, str], bytes] | None = None,
) -> Engine:
    from edgecam_engines.onnx_file import read_onnx
    from edgecam_engines.onnxruntime import OnnxRuntimeEngine

    content = read_onnx(model.path, model.digests)
    return OnnxRuntimeEngine(
        model.path,
        name=f"{provider.backend}-{model.precision}",
        threads=model.threads,
        content=change(content, model.path.name) if change else content,
        provider=provider,
        options=options,
    )
