"""The pieces of a graph that are quantized, or left in float, as a whole."""

import heapq
from collections.abc import Collection
from dataclasses import dataclass
from math import prod
from typing import Any, Final

from edgecam_calibration.quantization.pairs import QUANTIZED, always_float

FOLLOWERS: Final = ("Clip", "Relu", "Add")  # fused with the convolution before them, on every back end


@dataclass(frozen=True)
class Unit:
    """A convolution with what is fused to it, or an addition on its own. It has one output."""

    name: str  # the module that holds its weight, or else its node
    block: str  # the residual block or stage that it belongs to
    nodes: tuple[str, ...]  # names in the graph, in order
    macs: int  # multiply-accumulates for one picture
    elements: int  # numbers in its output for one picture


@dataclass(frozen=True)
class Segment:
    """Nodes that run together. `unit` is None where nothing would be quantized anyway."""

    unit: Unit | None
    nodes: tuple[str, ...]


def segments_of(model: Any) -> list[Segment]:
    """Every node of a float graph, cut into units and what lies between them, in an order that runs.

    `model` is an onnx.ModelProto with shapes inferred and names for all nodes.
    """
    nodes = list(model.graph.node)
    groups = _groups(model, nodes)
    shapes = _shapes(model)
    dims = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    quantized = set(quantized_nodes(model))
    found: list[Segment] = []
    for group in _in_order(nodes, groups):
        names = tuple(nodes[k].name for k in group)
        if names[0] in quantized:
            found.append(Segment(_unit([nodes[k] for k in group], names, shapes, dims), names))
        elif found and found[-1].unit is None:
            found[-1] = Segment(None, found[-1].nodes + names)
        else:
            found.append(Segment(None, names))
    return found


def quantized_nodes(model: Any, kept: Collection[str] = ()) -> list[str]:
    """Names of the nodes of a float graph that get Q/DQ pairs when `kept` stay in float."""
    left = {*always_float(model), *kept}
    return [n.name for n in model.graph.node if n.op_type in QUANTIZED and n.name not in left]


def _groups(model: Any, nodes: list[Any]) -> list[list[int]]:
    """Indices of nodes that go together. Only the last one's output is read outside its group."""
    readers: dict[str, list[int]] = {}
    for k, node in enumerate(nodes):
        for name in node.input:
            readers.setdefault(name, []).append(k)
    ends = {output.name for output in model.graph.output}
    quantized = set(quantized_nodes(model))
    taken: set[int] = set()
    groups: list[list[int]] = []
    for k, node in enumerate(nodes):
        if k in taken:
            continue
        group = [k]
        while node.name in quantized:
            output = nodes[group[-1]].output[0]
            reading = readers.get(output, [])
            follows = len(reading) == 1 and output not in ends and reading[0] not in taken
            if not follows or nodes[reading[0]].name not in quantized:
                break
            if nodes[reading[0]].op_type not in FOLLOWERS:
                break
            group.append(reading[0])
        taken.update(group)
        groups.append(group)
    return groups


def _in_order(nodes: list[Any], groups: list[list[int]]) -> list[list[int]]:
    """Groups sorted so that each comes after what it reads; otherwise as they were."""
    maker = {out: g for g, group in enumerate(groups) for k in group for out in nodes[k].output}
    needs = [
        {maker[name] for k in group for name in nodes[k].input if name in maker} - {g}
        for g, group in enumerate(groups)
    ]
    wanted_by: list[list[int]] = [[] for _ in groups]
    for g, needed in enumerate(needs):
        for other in needed:
            wanted_by[other].append(g)
    left = [len(needed) for needed in needs]
    ready = [g for g, count in enumerate(left) if not count]
    heapq.heapify(ready)
    ordered = []
    while ready:
        ordered.append(groups[g := heapq.heappop(ready)])
        for other in wanted_by[g]:
            left[other] -= 1
            if not left[other]:
                heapq.heappush(ready, other)
    return ordered


def _unit(
    nodes: list[Any], names: tuple[str, ...], shapes: dict[str, list[int]], dims: dict[str, tuple[int, ...]]
) -> Unit:
    first = nodes[0]
    weight = first.input[1] if first.op_type == "Conv" else ""
    kernel = dims.get(weight, ())
    path = weight.split(".")[:-1]
    name = ".".join(path) or first.name
    output = shapes.get(first.output[0], [0])
    macs = prod(output) * prod(kernel[1:]) if kernel else 0
    return Unit(name, block_of(path) or name, names, macs, prod(shapes.get(nodes[-1].output[0], output)))


def block_of(path: list[str]) -> str:
    """The block in a module's path: 'body.2.1.block.0.0' -> 'body.2.1', 'head.near' -> 'head.near'."""
    depth = 1
    while depth < min(len(path), 3) and path[depth].isdigit():
        depth += 1
    return ".".join(path[: max(depth, 2)])


def _shapes(model: Any) -> dict[str, list[int]]:
    """Of one picture: whatever the batch is, the first axis is left out."""
    return {
        info.name: [side.dim_value for side in info.type.tensor_type.shape.dim[1:]]
        for info in [*model.graph.value_info, *model.graph.output]
    }
