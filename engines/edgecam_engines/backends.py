"""Every back end by name. A heavy import lives in its opener."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from edgecam_engines.engine import Engine
from edgecam_engines.errors import BackendUnavailable


class Model(NamedTuple):
    """What a back end needs to open one engine."""

    path: Path  # the ONNX file (a JSON file for "fixed")
    precision: str  # "fp32", "fp16" or "int8": for the engine's name
    plans: Path  # folder for plans that belong to one device; TensorRT alone uses it
    threads: int = 1  # of the CPU, where the back end runs there


def open_onnxruntime(model: Model) -> Engine:
    from edgecam_engines.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model.path, name=f"onnxruntime-{model.precision}", threads=model.threads)


def open_tensorrt(model: Model) -> Engine:
    from edgecam_engines.tensorrt import open_plan

    return open_plan(model)


def open_on_dla(core: int) -> Callable[[Model], Engine]:
    """TensorRT on a core of a Jetson's deep learning accelerator, with the GPU for what that cannot do."""

    def open_dla(model: Model) -> Engine:
        from edgecam_engines.tensorrt import open_plan

        return open_plan(model, dla=core)

    return open_dla


def open_fixed(model: Model) -> Engine:
    from edgecam_engines.fixed import load_fixed

    return load_fixed(model.path)


BACKENDS: Final[dict[str, Callable[[Model], Engine]]] = {
    "onnxruntime": open_onnxruntime,
    "tensorrt": open_tensorrt,
    "tensorrt-dla0": open_on_dla(0),
    "tensorrt-dla1": open_on_dla(1),
    "fixed": open_fixed,
}


def is_tensorrt(backend: str) -> bool:
    """Whether a back end takes TensorRT's INT8 profile."""
    return backend.startswith("tensorrt")


def open_engine(backend: str, model: Model) -> Engine:
    """Open a model with a back end by name. Raises BackendUnavailable for a name nobody has."""
    if backend not in BACKENDS:
        raise BackendUnavailable(f"There is no back end {backend!r}. Choose one of: {', '.join(BACKENDS)}.")
    return BACKENDS[backend](model)
