"""What quantizing did to every tensor: how loud the error is, and whether the direction is kept."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.quantization.equalize import Scales
from edgecam_calibration.quantization.graph import run_between
from edgecam_engines.engine import Frames
from edgecam_engines.files import write_atomically, write_json


class LayerError(NamedTuple):
    """One convolution's answers against FP32's."""

    node: str
    tensor: str
    sqnr_db: float  # 10 log10 of FP32's power (its channels' means taken out) over the error's power
    cosine: float  # of the angle between the two, in [-1, 1]

    def document(self) -> dict[str, Any]:
        """For layers.json; JSON has no infinity, so no error and no signal are null."""
        finite = round(self.sqnr_db, 3) if np.isfinite(self.sqnr_db) else None
        return {**self._asdict(), "sqnr_db": finite, "cosine": round(self.cosine, 6)}


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


def layer_errors(
    fp32: Path, int8: Path, scales: Scales, lowered: Mapping[str, float], frames: Frames
) -> list[LayerError]:
    """Every sum of a convolution that both graphs have, in the graph's order, errors from upstream included.

    `scales` are what equalization multiplied the quantized graph's channels by, and `lowered` what centring
    then took from its tensors. Q/DQ pairs are computed as
    written, in float, so this judges the quantization and no processor's kernels.
    """
    import onnx

    reference, quantized = onnx.load(fp32), onnx.load(int8)
    made = {node.name: node.output[0] for node in quantized.graph.node if node.op_type == "Conv"}
    nodes = [node for node in reference.graph.node if node.op_type == "Conv" and node.name in made]
    wanted = run_between(reference, {reference.graph.input[0].name: frames}, [n.output[0] for n in nodes])
    got = run_between(quantized, {quantized.graph.input[0].name: frames}, [made[n.name] for n in nodes])
    found = []
    for node, a, raw in zip(nodes, wanted, got, strict=True):
        scale = scales.get(node.output[0], np.ones(a.shape[1]))
        b = (raw + lowered.get(node.output[0], 0.0)) / scale.astype(np.float32).reshape(1, -1, 1, 1)
        found.append(LayerError(node.name, node.output[0], sqnr_db(a, b), cosine(a, b)))
    return found


def write_layers(folder: Path, errors: dict[str, list[LayerError]]) -> None:
    """layers.json and, where matplotlib is installed, layers.png; `errors` by profile."""
    document = {name: [error.document() for error in found] for name, found in errors.items()}
    write_json(folder / "layers.json", document)
    if find_spec("matplotlib") is not None:
        write_atomically(folder / "layers.png", lambda path: _draw(path, errors))


def table(errors: dict[str, list[LayerError]]) -> Any:
    """For the terminal: a row a convolution, SQNR and cosine a profile."""
    from rich.table import Table

    found = Table(title="Quantization error by layer, upstream's included", title_justify="left")
    for column in ("layer", *(f"{name} {what}" for name in errors for what in ("SQNR dB", "cosine"))):
        found.add_column(column, justify="left" if column == "layer" else "right")
    rows: dict[str, dict[str, LayerError]] = {}
    for name, layers in errors.items():
        for layer in layers:
            rows.setdefault(layer.node, {})[name] = layer
    for node, each in rows.items():
        cells = [(f"{e.sqnr_db:.1f}", f"{e.cosine:.4f}") if (e := each.get(n)) else ("", "") for n in errors]
        found.add_row(node, *(cell for pair in cells for cell in pair))
    return found


def _draw(path: Path, errors: dict[str, list[LayerError]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(layer.node for found in errors.values() for layer in found))
    for name, found in errors.items():
        places = [names.index(layer.node) for layer in found]
        axes.plot(places, [layer.sqnr_db for layer in found], marker=".", label=name)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set(ylabel="SQNR, dB", title="Quantization error of each convolution, upstream's included")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=130)
