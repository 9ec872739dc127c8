"""The FP16 form of a graph: everything in half precision but islands, some found by operator, some on photos.

FP16 ends at 65504, and below 6.1e-5 it loses bits. A node that comes near either end on real photos stays
in FP32, with whatever reads the tensor, and is named.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from edgecam_calibration.extremes import Extremes, measure_extremes
from edgecam_calibration.islands import fp32_islands, join_islands
from edgecam_engines.engine import Frames
from edgecam_engines.files import write_atomically
from edgecam_engines.onnx_file import parse_onnx, read_onnx

LARGEST: Final = 65504.0
SMALLEST: Final = 2.0**-14  # the last with all its bits
HEADROOM: Final = 4.0  # photos to come go further than those at hand


class Risk(NamedTuple):
    """A node that would leave FP16's range, and therefore stays in FP32."""

    node: str
    why: str  # "passes 65504", "divides by next to nothing", "its weights pass 65504", "its weights vanish"
    magnitude: float  # the largest (or smallest) on the photos, without headroom


class Halved(NamedTuple):
    """What was kept in FP32, and why."""

    islands: list[str]  # names of the nodes, risks and normalisers alike
    risks: list[Risk]  # found on photos
    extremes: dict[str, Extremes]  # of every tensor; empty without photos


def write_fp16(onnx_file: Path, path: Path, batches: Iterable[Frames] = ()) -> Halved:
    """Write the graph in FP16, with FP32 islands and float32 features out; `batches` are real photos.

    Without photos only the operators that normalise stay in FP32.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = parse_onnx(read_onnx(onnx_file), onnx_file.name)
    batches = list(batches)
    extremes = measure_extremes(model, batches) if batches else {}
    risks = find_risks(model, extremes)
    islands = sorted({*fp32_islands(model), *(risk.node for risk in risks)})
    halved = convert_float_to_float16(model, keep_io_types=True, op_block_list=[], node_block_list=islands)
    write_atomically(path, join_islands(halved, islands).SerializeToString())
    return Halved(islands, risks, extremes)


def find_risks(model: Any, extremes: Mapping[str, Extremes]) -> list[Risk]:
    """Nodes that make or read a tensor near either end of FP16, or have weights beyond it."""
    troubles = {name: trouble for name, found in extremes.items() if (trouble := _trouble(found))}
    for name, largest in _weights(model).items():
        if largest > LARGEST:
            troubles[name] = ("its weights pass 65504", largest)
        elif 0 < largest < SMALLEST:
            troubles[name] = ("its weights vanish", largest)
    found = [
        (node.name, next((troubles[name] for name in (*node.output, *node.input) if name in troubles), None))
        for node in model.graph.node
    ]
    return [Risk(node, *trouble) for node, trouble in found if trouble]


def _trouble(found: Extremes) -> tuple[str, float] | None:
    if not found.largest * HEADROOM <= LARGEST:  # a NaN counts as well
        return "passes 65504", found.largest
    if found.smallest < SMALLEST:
        return "divides by next to nothing", found.smallest
    return None


def _weights(model: Any) -> dict[str, float]:
    """The largest magnitude in each float constant."""
    from onnx import TensorProto, numpy_helper

    constants = (tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT)
    arrays = ((tensor.name, numpy_helper.to_array(tensor)) for tensor in constants)
    return {name: float(np.abs(values).max()) for name, values in arrays if values.size}
