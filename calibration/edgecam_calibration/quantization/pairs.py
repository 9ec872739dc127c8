"""Where Q/DQ pairs stand: ONNX Runtime's quantizer places them, and what TensorRT does not need goes."""

import logging
from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.islands import before_divisions
from edgecam_calibration.quantization.profiles import Profile

# Clip must be among them: without it the quantizer stands before ReLU6, where the range is wide.
QUANTIZED: Final = ("Conv", "Clip", "Relu", "Add")


def quantized_tensors(model: Any) -> list[str]:
    """The float tensors that a profile may quantize: what the operators above read and write.

    What only a rectifier reads is not among them: it gets the range of what the rectifier writes.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    rectified = before_rectifiers(model)
    names = [
        name
        for node in model.graph.node
        if node.op_type in QUANTIZED
        for name in (
            [*node.input[:1], *node.output] if node.op_type != "Add" else [*node.input, *node.output]
        )
        if name and name not in constants and name not in rectified
    ]
    return list(dict.fromkeys(names))


def before_rectifiers(model: Any) -> dict[str, str]:
    """Tensors that a rectifier alone reads -> what it writes."""
    uses: dict[str, int] = dict.fromkeys((output.name for output in model.graph.output), 1)
    for node in model.graph.node:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    rectifiers = [node for node in model.graph.node if node.op_type in {"Clip", "Relu"}]
    return {node.input[0]: node.output[0] for node in rectifiers if uses[node.input[0]] == 1}


def with_pairs(
    model: Any,
    profile: Profile,
    ranges: Mapping[str, tuple[float, float]],
    weight_steps: Mapping[str, NDArray[np.float32]],
    *,
    kept: Collection[str] = (),
    never: Collection[str] = (),
) -> Any:
    """The graph with this profile's Q/DQ pairs; `model` is used up.

    `ranges` by tensor; `weight_steps` (o,) by weight, for weights that are on a grid already.
    Nodes named in `kept` stay in float. Those in `never` do so in every model of this profile, so nothing is
    rounded for them; what others hand to `kept` ones is rounded wherever it is when all are quantized.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    activation = QuantType.QInt8 if profile.signed else QuantType.QUInt8
    ranges = {**ranges, **{a: ranges[b] for a, b in before_rectifiers(model).items() if b in ranges}}
    measured = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
    quantizer = QDQQuantizer(
        model,
        True,  # one scale for each channel of a weight
        profile.reduce_range,
        QuantType.QInt8,
        activation,
        TensorsData(CalibrationMethod.MinMax, measured),
        [],
        [*always_float(model), *kept, *never],
        [*QUANTIZED],
        {
            "ActivationSymmetric": profile.signed,
            "WeightSymmetric": True,
            "QuantizeBias": profile.quantize_bias,
            "TensorQuantOverrides": {
                **_pinned_input(model, activation),
                **{name: _channels(steps, QuantType.QInt8) for name, steps in weight_steps.items()},
            },
        },
    )
    with _quiet_root_logger():
        quantizer.quantize_model()
    quantized = quantizer.model.model
    if profile.signed:
        drop_unread_pairs(quantized, never)
    return quantized


def drop_unread_pairs(model: Any, kept: Collection[str] = ()) -> None:
    """Take out the activation pairs that no quantized convolution reads, in place.

    TensorRT's integer convolutions read integers and may write floats. A pair between a convolution and its
    ReLU6, its sum or a softmax rounds for nobody and stands in the way of fusing the two.
    """
    quantizers = {node.output[0]: node for node in model.graph.node if node.op_type == "QuantizeLinear"}
    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    raw: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in quantizers:
            continue
        if not any(n.op_type == "Conv" and n.name not in kept for n in readers.get(node.output[0], [])):
            raw[node.output[0]] = quantizers[node.input[0]].input[0]
    # What the graph gives keeps its name: there the tensor before the pair takes the name of the one behind.
    ends = {raw[output.name]: output.name for output in model.graph.output if output.name in raw}
    _remove(model, lambda node: node.op_type == "DequantizeLinear" and node.output[0] in raw)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            plain = raw.get(name, name)
            node.input[place] = ends.get(plain, plain)
        for place, name in enumerate(node.output):
            node.output[place] = ends.get(name, name)
    read = {name for node in model.graph.node for name in node.input}
    _remove(model, lambda node: node.op_type == "QuantizeLinear" and node.output[0] not in read)
    read = {name for node in model.graph.node for name in node.input}
    left = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(left)


def _remove(model: Any, unwanted: Any) -> None:
    left = [node for node in model.graph.node if not unwanted(node)]
    del model.graph.node[:]
    model.graph.node.extend(left)


def _channels(steps: NDArray[np.float32], kind: Any) -> list[dict[str, Any]]:
    zero = np.array(0, dtype=np.int8)
    return [
        {"quant_type": kind, "axis": 0, "scale": np.array(step, dtype=np.float32), "zero_point": zero}
        for step in steps
    ]


class _quiet_root_logger:
    """The quantizer advises on the root logger to run steps that our exporter has done already."""

    def __enter__(self) -> None:
        self._level = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().setLevel(self._level)


def always_float(model: Any) -> list[str]:
    """Names of the nodes that no profile quantizes, whatever their operator."""
    return [*_kept_in_float(model), *before_divisions(model)]


def _kept_in_float(model: Any) -> list[str]:
    """Additions that only shift channels or end the graph: quantizing them would cost the features."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Add" and (constants & set(node.input) or _feeds_scale(model, node.output[0]))
    ]


def _feeds_scale(model: Any, tensor: str) -> bool:
    return any(tensor in node.input and node.op_type == "Mul" for node in model.graph.node)


def _pinned_input(model: Any, activation: Any) -> dict[str, list[dict[str, Any]]]:
    """Scale 1 for the centred bytes, so that what the camera delivers is the quantized tensor."""
    centred = next((node for node in model.graph.node if node.op_type == "Sub"), None)
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    if centred is None or centred.input[1] not in values:
        return {}
    import onnx

    mean = onnx.numpy_helper.to_array(values[centred.input[1]])
    if mean.size != 1:
        return {}  # a mean per channel is no zero point
    signed = activation.name == "QInt8"
    zero_point = np.array(0 if signed else round(mean.item()), dtype=np.int8 if signed else np.uint8)
    return {
        centred.output[0]: [
            {"quant_type": activation, "scale": np.array(1, dtype=np.float32), "zero_point": zero_point}
        ]
    }
