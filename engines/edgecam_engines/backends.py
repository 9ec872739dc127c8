"""Every back end by name. A heavy import lives in its opener."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from edgecam_engines.engine import Engine
from edgecam_engines.errors import BackendUnavailable


class Model(NamedTuple):
    """What a back end needs to open one engine."""

    path: Path  # the ONNX file (a JSON file for "fixed")
    precision: str  # "fp32", "fp16", "mixed" or "int8": for the engine's name
    plans: Path  # folder for plans that belong to one device; TensorRT alone uses it
    threads: int = 1  # of the CPU, where the back end runs there


def open_onnxruntime(model: Model) -> Engine:
    from edgecam_engines.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model.path, name=f"onnxruntime-{model.precision}", threads=model.threads)


def open_tensorrt(model: Model) -> Engine:
    from edgecam_engines.tensorrt import open_plan

    return open_plan(model)


def open_fixed(model: Model) -> Engine:
    from edgecam_engines.fixed import load_fixed

    return load_fixed(model.path)


BACKENDS: Final[dict[str, Callable[[Model], Engine]]] = {
    "onnxruntime": open_onnxruntime,
    "tensorrt": open_tensorrt,
    "fixed": open_fixed,
}


def open_engine(backend: str, model: Model) -> Engine:
    """Open a model with a back end by name. Raises BackendUnavailable for a name nobody has."""
    if backend not in BACKENDS:
        raise BackendUnavailable(f"There is no back end {backend!r}. Choose one of: {', '.join(BACKENDS)}.")
    return BACKENDS[backend](model)
