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


def join_islands(model: Any, islands: list[str]) -> Any:
    """Take out the casts to FP16 and back between two nodes that both stay in FP32, in place.

    The converter puts a cast on each side of every such node, so what passes from one to the next would
    overflow between them after all. It also puts them last, where ONNX wants every node after its inputs.
    """
    from onnxruntime.transformers.onnx_model import OnnxModel

    converted = OnnxModel(model)
    makers = converted.output_name_to_node()
    for widening in converted.get_nodes_by_op_type("Cast"):
        narrowing = makers.get(widening.input[0])
        if narrowing is not None and narrowing.op_type == "Cast":
            maker = makers.get(narrowing.input[0])
            if maker is not None and maker.name in islands:
                converted.replace_input_of_all_nodes(widening.output[0], narrowing.input[0])
    converted.prune_graph()
    converted.topological_sort(is_deterministic=True)
    del model.graph.value_info[:]  # of tensors that are gone, or of another type by now
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
