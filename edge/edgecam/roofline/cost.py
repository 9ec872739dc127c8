"""Arithmetic and traffic of each layer, from the ONNX graph.

A layer is what a GPU runs as one kernel once elementwise neighbours are fused into it: convolutions, matrix
products, and what moves or reduces whole maps. What is fused costs nothing of its own. A model with Q/DQ
pairs has the layers of the one that it was made from: read that.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, Final, NamedTuple

from edgecam_engines.errors import EngineError
from edgecam_engines.onnx_file import parse_onnx, read_onnx

_PRODUCTS: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_MOVES: Final = frozenset(
    {
        "AveragePool", "Concat", "Gather", "GlobalAveragePool", "MaxPool", "ReduceMax", "ReduceMean",
        "ReduceSum", "Resize", "Slice", "Softmax", "Split", "Transpose",
    }
)  # fmt: skip


class Layer(NamedTuple):
    """One kernel, for one picture."""

    name: str
    operator: str
    flops: int  # a multiplication and its addition are two
    activations: int  # numbers read and written
    weights: int  # numbers


class Cost(NamedTuple):
    """A network, for one picture."""

    layers: list[Layer]

    @property
    def kernels(self) -> int:
        return len(self.layers)

    @property
    def flops(self) -> int:
        return sum(layer.flops for layer in self.layers)

    @property
    def activations(self) -> int:
        return sum(layer.activations for layer in self.layers)

    @property
    def weights(self) -> int:
        return sum(layer.weights for layer in self.layers)


def cost_of(path: Path) -> Cost:
    """Of a model file without Q/DQ pairs. Raises EngineError when that cannot be told."""
    import onnx

    model = parse_onnx(read_onnx(path), path.name)
    for value in [*model.graph.input, *model.graph.output]:
        for axis in value.type.tensor_type.shape.dim:
            if not axis.HasField("dim_value"):
                axis.dim_value = 1  # the batch
    del model.graph.value_info[:]  # what it says of a batch of any size
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    layers = list(_layers(inferred.graph))
    if not layers:
        raise EngineError(f"{path.name} has no layer whose cost can be told: edgecam did not export it.")
    return Cost(layers)


def _layers(graph: Any) -> Iterator[Layer]:
    shapes = {t.name: tuple(t.dims) for t in graph.initializer}
    constants = set(shapes)
    for value in [*graph.input, *graph.value_info, *graph.output]:
        shapes[value.name] = tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
    made = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type in _PRODUCTS | _MOVES and shapes.get(node.output[0]):
            yield _layer(node, shapes, constants, made)


def _layer(node: Any, shapes: dict[str, tuple[int, ...]], constants: set[str], made: dict[str, Any]) -> Layer:
    fixed = [_fixed(name, shapes, constants, made) for name in node.input]
    weights = sum(prod(shape) for shape in fixed if shape is not None)
    moving = [name for name, shape in zip(node.input, fixed, strict=True) if shape is None and name]
    activations = sum(prod(shapes.get(name, ())) for name in [*moving, *node.output] if name in shapes)
    return Layer(node.name or node.output[0], node.op_type, _flops(node, shapes, fixed), activations, weights)


def _fixed(
    name: str, shapes: dict[str, tuple[int, ...]], constants: set[str], made: dict[str, Any]
) -> tuple[int, ...] | None:
    """The shape of a weight; None for what changes with the picture."""
    while name in made and made[name].op_type in {"Cast", "Identity"}:
        name = made[name].input[0]
    fixed = name in constants or (name in made and made[name].op_type == "Constant")
    return shapes.get(name, ()) if fixed else None


def _flops(node: Any, shapes: dict[str, tuple[int, ...]], fixed: list[tuple[int, ...] | None]) -> int:
    out = shapes[node.output[0]]
    if node.op_type == "Conv":
        kernel = fixed[1] or shapes.get(node.input[1], ())
        return 2 * prod(out) * prod(kernel[1:])  # (out, in / groups, kh, kw)
    if node.op_type == "ConvTranspose":
        kernel = fixed[1] or shapes.get(node.input[1], ())
        return 2 * prod(shapes.get(node.input[0], ())) * prod(kernel[1:])
    if node.op_type in {"MatMul", "Gemm"}:
        left = fixed[0] or shapes.get(node.input[0], ())
        turned = any(a.name == "transA" and a.i for a in node.attribute)
        return 2 * prod(out) * (left[0 if turned else -1] if left else 0)
    return 0
