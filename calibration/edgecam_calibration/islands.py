"""Which nodes of a graph must stay in FP32 when the rest becomes FP16 or INT8, and that they do."""

from typing import Any, Final

# What divides, normalises or chooses, by operator.
NORMALISERS: Final = ("Softmax", "ReduceMean", "LayerNormalization", "Div", "TopK", "Less", "Where")


def fp32_islands(model: Any) -> list[str]:
    """Names of the nodes that stay in FP32: normalisers, and all that leads from a convolution to a division.

    A denominator that depends on the input is a sum of products, which FP16 rounds to zero or carries past
    65504 before the division is reached. So its matrix products stay with it.
    """
    leading = _before_divisions(model)
    return [node.name for node in model.graph.node if node.op_type in NORMALISERS or node.name in leading]


def before_divisions(model: Any) -> list[str]:
    """Names of the nodes between convolutions and divisions by what is computed, the divisions included."""
    leading = _before_divisions(model)
    return [node.name for node in model.graph.node if node.name in leading]


def join_islands(model: Any) -> Any:
    """Take out the casts to FP16 and back between two nodes that both stay in FP32; the model itself.

    The converter puts a cast on each side of every such node, so what passes from one to the next would
    overflow between them after all.
    """
    from onnxruntime.transformers.onnx_model import OnnxModel

    OnnxModel(model).remove_cascaded_cast_nodes()
    return model


def _before_divisions(model: Any) -> set[str]:
    constants = {tensor.name for tensor in model.graph.initializer}
    makers = {output: node for node in model.graph.node for output in node.output}
    found: set[str] = set()
    left = [
        node
        for node in model.graph.node
        if node.op_type == "Div" and node.input[1] not in constants and node.input[1] in makers
    ]
    while left:
        node = left.pop()
        if node.name in found or node.op_type in {"Conv", "Constant"}:
            continue
        found.add(node.name)
        left += [makers[name] for name in node.input if name in makers]
    return found
