"""How large, and how near to zero, every tensor of a graph gets on real photos.

Random tensors do not show it: a network is quiet on noise, and one bright photo takes it past FP16's end.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np

from edgecam_calibration.graph import float_tensors
from edgecam_engines.engine import Frames
from edgecam_engines.providers import open_session

# What a node divides by, or whose root or logarithm it takes, by operator and place among its inputs.
DIVISORS: Final = {"Div": 1, "Reciprocal": 0, "Sqrt": 0, "Log": 0}


class Extremes(NamedTuple):
    """Of one tensor over all photos."""

    largest: float  # magnitude
    smallest: float  # magnitude above zero, of what is divided by; infinite where nobody asked


def measure_extremes(model: Any, batches: Iterable[Frames]) -> dict[str, Extremes]:
    """The extremes of every float tensor that a node makes. The model is left as it is.

    They are taken inside the graph, so nothing of the size of an activation is ever kept.
    """
    import onnxruntime as ort

    probed, asked = _with_probes(model)
    session = open_session(ort, probed.SerializeToString(), "the graph with probes")
    image = session.get_inputs()[0].name
    names = [name for pair in asked.values() for name in pair if name]
    found = {name: [] for name in names}  # type: dict[str, list[float]]
    for batch in batches:
        for name, value in zip(names, session.run(names, {image: batch}), strict=True):
            found[name].append(float(value))
    return {
        tensor: Extremes(
            max(found[large], default=0.0), min(found[small], default=np.inf) if small else np.inf
        )
        for tensor, (large, small) in asked.items()
    }


def _with_probes(model: Any) -> tuple[Any, dict[str, tuple[str, str]]]:
    """A copy with two scalars for each tensor as outputs, and their names; "" for one that is not asked."""
    import onnx
    from onnx import TensorProto, helper

    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    graph = probed.graph
    tensors = float_tensors(model)
    divisors = {
        node.input[DIVISORS[node.op_type]] for node in graph.node if node.op_type in DIVISORS
    } & tensors
    graph.initializer.append(helper.make_tensor("probe/zero", TensorProto.FLOAT, [], [0.0]))
    graph.initializer.append(helper.make_tensor("probe/infinity", TensorProto.FLOAT, [], [np.inf]))
    asked = {}
    for tensor in sorted(tensors):
        size, large, small = (f"probe/{kind}/{tensor}" for kind in ("size", "large", "small"))
        graph.node.append(helper.make_node("Abs", [tensor], [size]))
        graph.node.append(helper.make_node("ReduceMax", [size], [large], keepdims=0))
        asked[tensor] = (large, small if tensor in divisors else "")
        if tensor in divisors:
            parts = [f"probe/{kind}/{tensor}" for kind in ("is zero", "without zeros")]
            graph.node.append(helper.make_node("Equal", [size, "probe/zero"], [parts[0]]))
            graph.node.append(helper.make_node("Where", [parts[0], "probe/infinity", size], [parts[1]]))
            graph.node.append(helper.make_node("ReduceMin", [parts[1]], [small], keepdims=0))
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [])
        for pair in asked.values()
        for name in pair
        if name
    )
    return probed, asked
