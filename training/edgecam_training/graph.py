"""Small passes over an exported ONNX graph."""

import onnx
from onnx import ModelProto, NodeProto, numpy_helper


def fold_pads(model: ModelProto) -> ModelProto:
    """Move zero padding in front of a convolution into the convolution, where it is free."""
    constants = _constants(model)
    pads = {node.output[0]: node for node in model.graph.node if node.op_type == "Pad"}
    for conv in model.graph.node:
        pad = pads.get(conv.input[0]) if conv.op_type == "Conv" else None
        if pad is not None and (amounts := _zero_padding(pad, constants)) is not None:
            _add_pads(conv, amounts)
            conv.input[0] = pad.input[0]
    used = {name for node in model.graph.node for name in node.input}
    for pad in pads.values():
        if pad.output[0] not in used:
            model.graph.node.remove(pad)
    return model


def _zero_padding(pad: NodeProto, constants: dict[str, onnx.TensorProto]) -> list[int] | None:
    """Spatial amounts (top, left, bottom, right) of a zero Pad over (n, c, h, w), else None."""
    mode = next((a.s for a in pad.attribute if a.name == "mode"), b"constant")
    if mode != b"constant" or pad.input[1] not in constants or (len(pad.input) > 3 and pad.input[3]):
        return None
    if len(pad.input) > 2 and pad.input[2]:
        value = constants.get(pad.input[2])
        if value is None or numpy_helper.to_array(value).any():
            return None
    amounts = numpy_helper.to_array(constants[pad.input[1]]).tolist()
    if len(amounts) != 8 or any(amounts[i] for i in (0, 1, 4, 5)) or min(amounts) < 0:
        return None
    return [amounts[i] for i in (2, 3, 6, 7)]


def _add_pads(conv: NodeProto, amounts: list[int]) -> None:
    for attribute in conv.attribute:
        if attribute.name == "pads":
            attribute.ints[:] = [a + b for a, b in zip(attribute.ints, amounts, strict=True)]
            return
    conv.attribute.append(onnx.helper.make_attribute("pads", amounts))


def _constants(model: ModelProto) -> dict[str, onnx.TensorProto]:
    found = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            found.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
    return found


def name_after_order(model: ModelProto) -> ModelProto:
    """Give every node a name that a person finds again in a report: Conv_12, Softmax_3."""
    counts: dict[str, int] = {}
    for node in model.graph.node:
        counts[node.op_type] = counts.get(node.op_type, -1) + 1
        node.name = f"{node.op_type}_{counts[node.op_type]}"
    return model
