"""An exported ONNX graph run by torch, with Q/DQ pairs where its INT8 form has them.

What trains is thereby what ships, tensor by tensor, whatever the quantizer chose to round.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from edgecam_engines.errors import TrainingError
from edgecam_training.qat.ops import OPS, conv
from edgecam_training.qat.ranges import Grid

Round = Callable[[str, Tensor], Tensor]  # an activation's name and value -> its value as INT8 has it


class Step(NamedTuple):
    """One node; constants are looked up by name like everything else."""

    op: str
    name: str  # as a report names it
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]


class Rounded(NamedTuple):
    """What of a convolution's parameters an INT8 file rounds."""

    weight: bool
    bias: bool


class Graph(NamedTuple):
    """A network that takes frames and gives features."""

    steps: tuple[Step, ...]  # in order
    constants: dict[str, Tensor]  # by name
    frames: str  # name of the input
    features: str  # and of the output
    grids: dict[str, Grid]  # of the activations that are rounded; empty for a float graph
    rounded: dict[str, Rounded]  # by a convolution's name
    sources: dict[str, str]  # a name that holds another tensor's rounded value -> that tensor


def read_graph(path: Path) -> Graph:
    """Read a graph from `export_onnx` or its INT8 form. Raises TrainingError for an unknown operator."""
    graph = onnx.load(path).graph
    arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    arrays |= {n.output[0]: _value(n) for n in graph.node if n.op_type == "Constant"}
    sources, grids, stored = _rounding(graph, arrays)
    steps, rounded = [], {}
    for node in graph.node:
        if node.op_type in {"Constant", "QuantizeLinear", "DequantizeLinear"}:
            continue
        if node.op_type != "Conv" and node.op_type not in OPS:
            raise TrainingError(
                f"--qat cannot train this network: it does not know the operator {node.op_type} "
                f"({node.name}).\nTrain without --qat, or with the default backbone and head."
            )
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        inputs = tuple(stored.get(name, name) for name in node.input)
        steps.append(Step(node.op_type, node.name, inputs, node.output[0], attributes))
        if node.op_type == "Conv":
            rounded[node.name] = Rounded(node.input[1] in stored, any(n in stored for n in node.input[2:]))
    constants = {name: torch.from_numpy(np.array(a)) for name, a in arrays.items()}
    return Graph(
        _in_order(steps, sources, {*constants, *stored.values(), graph.input[0].name}),
        constants,
        graph.input[0].name,
        graph.output[0].name,
        grids,
        rounded,
        sources,
    )


def run_graph(
    graph: Graph, frames: Tensor, given: Mapping[str, Tensor], rounds: Round, conv_parameters: Any
) -> dict[str, Tensor]:
    """Every tensor of the graph by name; uint8 (n, h, w, 3) frames in."""
    values: dict[str, Tensor] = {**graph.constants, **given, graph.frames: frames}

    def value(name: str) -> Tensor | None:
        if not name:
            return None
        source = graph.sources.get(name)
        if source is None:
            return values[name]
        if name not in values:
            values[name] = rounds(source, values[source])
        return values[name]

    for step in graph.steps:
        if step.op == "Conv":
            x = value(step.inputs[0])
            assert x is not None
            weight, bias = conv_parameters(step, values)
            values[step.output] = conv(x, weight, bias, step.attributes)
        else:
            values[step.output] = OPS[step.op]([value(name) for name in step.inputs], step.attributes)
    last = value(graph.features)
    assert last is not None
    return values


def _rounding(
    graph: Any, arrays: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, Grid], dict[str, str]]:
    """Rounded activations' names -> their source, the sources' grids, rounded parameters -> their name."""
    sources: dict[str, str] = {}
    grids: dict[str, Grid] = {}
    stored: dict[str, str] = {}
    quantized: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            scale, zero_point = (arrays[name] for name in node.input[1:3])
            quantized[node.output[0]] = node.input[0]
            grids[node.input[0]] = Grid(float(scale), int(zero_point))
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            (made,), (given, *_) = node.output, node.input
            if given in quantized:
                sources[made] = quantized[given]
            else:
                stored[made] = given.removesuffix("_quantized")
    return sources, grids, stored


def _in_order(steps: list[Step], sources: Mapping[str, str], known: set[str]) -> tuple[Step, ...]:
    """Every step after those whose output it takes: the quantizer leaves nodes in any order."""
    ordered, ready, left = [], set(known), list(steps)
    while left:
        step = next(s for s in left if all(not i or sources.get(i, i) in ready for i in s.inputs))
        left.remove(step)
        ordered.append(step)
        ready.add(step.output)
    return tuple(ordered)


def _value(constant: Any) -> Any:
    return next(numpy_helper.to_array(a.t) for a in constant.attribute if a.name == "value")
