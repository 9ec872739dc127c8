"""No rounding between two nodes that both stay in float."""

from collections.abc import Collection
from typing import Any


def free_floats(model: Any, quantized: Collection[str]) -> Any:
    """Where float nodes make and read a tensor, let them read it as it was made, in place.

    The quantizer gives a tensor one Q/DQ pair and all its readers the rounded values, also those in float
    that only share it with a quantized node. `quantized`: names of the nodes that are computed in INT8.
    """
    makers = {out: node for node in model.graph.node for out in node.output}
    pairs = {}  # rounded tensor -> the tensor as a float node made it
    for node in model.graph.node:
        quantizer = makers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if quantizer is not None and quantizer.op_type == "QuantizeLinear":
            maker = makers.get(quantizer.input[0])
            if maker is not None and maker.name not in quantized:
                pairs[node.output[0]] = quantizer.input[0]
    for node in model.graph.node:
        if node.name not in quantized and node.op_type not in {"QuantizeLinear", "DequantizeLinear"}:
            for k, name in enumerate(node.input):
                node.input[k] = pairs.get(name, name)
    return _without_unread(model)


def _without_unread(model: Any) -> Any:
    """Drop Q/DQ pairs that nothing reads any more."""
    while True:
        read = {name for node in model.graph.node for name in node.input}
        read |= {output.name for output in model.graph.output}
        unread = [n for n in model.graph.node if n.op_type in _PAIR and not read & set(n.output)]
        if not unread:
            return model
        for node in unread:
            model.graph.node.remove(node)


_PAIR = frozenset({"QuantizeLinear", "DequantizeLinear"})
