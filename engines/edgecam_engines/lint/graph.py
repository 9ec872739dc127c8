"""A graph as the rules ask about it. Whatever the file says is checked before it is believed."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_LARGEST: Final = 1 << 28  # numbers of a tensor that is looked into


class Graph:
    """The main graph of a loaded ModelProto. Subgraphs of If and Loop count among `nodes`."""

    def __init__(self, model: Any) -> None:
        self.model, self.graph = model, model.graph

    @cached_property
    def nodes(self) -> list[Any]:
        found: list[Any] = []
        left = [self.graph]
        while left:
            graph = left.pop()
            found += graph.node
            left += [
                part for node in graph.node for a in node.attribute for part in (a.g, *a.graphs) if part.node
            ]
        return found

    @cached_property
    def makers(self) -> dict[str, Any]:
        """Tensor -> the node that makes it."""
        return {name: node for node in self.nodes for name in node.output if name}

    @cached_property
    def readers(self) -> dict[str, list[Any]]:
        """Tensor -> the nodes that read it."""
        found: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                found.setdefault(name, []).append(node)
        return found

    @cached_property
    def constants(self) -> dict[str, Any]:
        """Tensor -> TensorProto of initializers and Constant nodes."""
        found = {tensor.name: tensor for tensor in self.graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant" and node.output:
                found.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
        return found

    def array(self, name: str) -> NDArray[Any] | None:
        """The numbers of a constant; None where it is none, lies in another file, or does not add up."""
        tensor = self.constants.get(name)
        if tensor is None or tensor.external_data or tensor.data_location:
            return None
        if any(side < 0 for side in tensor.dims) or np.prod([float(side) for side in tensor.dims]) > _LARGEST:
            return None
        from onnx import numpy_helper

        try:
            return np.asarray(numpy_helper.to_array(tensor))
        except Exception:  # whatever numpy and onnx make of bytes that do not fit their shape
            return None

    def upstream(self, name: str, stop: frozenset[str]) -> Iterator[Any]:
        """The nodes that lead to a tensor, nearest first, up to and with those of operators in `stop`."""
        seen: set[int] = set()
        left = [name]
        while left:
            node = self.makers.get(left.pop(0))
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            yield node
            if node.op_type not in stop:
                left += node.input

    def images(self) -> list[Any]:
        """Inputs that are no initializers (old files list those too)."""
        kept = {tensor.name for tensor in self.graph.initializer}
        return [given for given in self.graph.input if given.name not in kept]


def named(node: Any) -> str:
    """How a message names a node."""
    first = next((name for name in node.output if name), "nothing")
    return f"{node.name or f'the node that makes {first}'} ({node.op_type})"


def attribute(node: Any, name: str) -> Any:
    """An attribute's ints where there are any, else its int; None where it is not there."""
    for found in node.attribute:
        if found.name == name:
            return list(found.ints) if found.ints else found.i
    return None


def shape_of(value: Any) -> list[int | str | None] | None:
    """Sides of an input or output: a number, a name, or None; the whole is None where no rank is told."""
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return [
        side.dim_value if side.HasField("dim_value") else (side.dim_param or None) for side in kind.shape.dim
    ]
