"""What quantizing did to every tensor: how loud the error is, and whether the direction is kept."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.quantization.equalize import Scales
from edgecam_engines.engine import Frames

PHOTOS: Final = 8  # are enough: every one has hundreds of places


class LayerError(NamedTuple):
    """One convolution's answers against FP32's."""

    node: str
    tensor: str
    sqnr_db: float  # 10 log10 of FP32's power (its channels' means taken out) over the error's power
    cosine: float  # of the angle between the two, in [-1, 1]


def sqnr_db(wanted: NDArray[Any], got: NDArray[Any]) -> float:
    """Signal over error in decibels, of tensors (n, c, ...).

    The mean of each channel is no signal: a bias makes it. Infinite for no error, and minus infinity where
    nothing varies but there is an error.
    """
    axes = (0, *range(2, wanted.ndim))
    signal = float(np.sum((wanted - wanted.mean(axis=axes, keepdims=True, dtype=np.float64)) ** 2))
    noise = float(np.sum((got.astype(np.float64) - wanted) ** 2))
    if noise == 0:
        return float("inf")
    return float(10 * np.log10(signal / noise)) if signal else float("-inf")


def cosine(wanted: NDArray[Any], got: NDArray[Any]) -> float:
    """Of the angle between two tensors as vectors; 1 when both are zero, 0 when one is."""
    a, b = wanted.astype(np.float64).ravel(), got.astype(np.float64).ravel()
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / lengths) if lengths else float(not a.any() and not b.any())


def layer_errors(fp32: Path, int8: Path, scales: Scales, batches: Iterable[Frames]) -> list[LayerError]:
    """Every sum of a convolution that both graphs have, in the graph's order, errors from upstream included.

    `scales` are what equalization multiplied the quantized graph's channels by. Q/DQ pairs are computed as
    written, in float, so this judges the quantization and no processor's kernels.
    """
    import onnx

    reference, quantized = onnx.load(fp32), onnx.load(int8)
    made = {output for node in quantized.graph.node for output in node.output}
    nodes = [n for n in reference.graph.node if n.op_type == "Conv" and n.output[0] in made]
    names = [node.output[0] for node in nodes]
    sessions = [_session(reference, names), _session(quantized, names)]
    wanted, got = zip(*(_run(sessions, names, batch) for batch in batches), strict=True)
    found = []
    for place, node in enumerate(nodes):
        a, b = (np.concatenate([each[place] for each in run]) for run in (wanted, got))
        if (scale := scales.get(names[place])) is not None:
            b = b / scale.reshape(1, -1, *[1] * (b.ndim - 2))
        found.append(LayerError(node.name, names[place], sqnr_db(a, b), cosine(a, b)))
    return found


def _run(sessions: Sequence[Any], names: list[str], batch: Frames) -> tuple[list[Any], list[Any]]:
    first, second = (s.run(names, {s.get_inputs()[0].name: batch}) for s in sessions)
    return first, second


def _session(model: Any, names: list[str]) -> Any:
    import onnxruntime as ort
    from onnx import helper

    present = {output.name for output in model.graph.output}
    model.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in names if n not in present)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
