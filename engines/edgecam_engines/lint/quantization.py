"""Quantization as TensorRT takes it: Q/DQ pairs, symmetric S8, biases in float."""

from collections.abc import Iterator
from typing import Final

from edgecam_engines.lint.finding import Finding, Severity
from edgecam_engines.lint.graph import Graph, named

QOPERATOR: Final = frozenset(
    {
        "ConvInteger",
        "DynamicQuantizeLinear",
        "MatMulInteger",
        "QAttention",
        "QGemm",
        "QLinearAdd",
        "QLinearAveragePool",
        "QLinearConcat",
        "QLinearConv",
        "QLinearGlobalAveragePool",
        "QLinearLeakyRelu",
        "QLinearMatMul",
        "QLinearMul",
        "QLinearSigmoid",
        "QLinearSoftmax",
    }
)
_SYMMETRIC: Final = (
    "Quantize with symmetric S8 activations and weights, as models/int8-tensorrt.onnx of a bundle is: "
    "ActivationSymmetric and WeightSymmetric, QInt8."
)


def int32_bias(graph: Graph) -> Iterator[Finding]:
    """NVIDIA's parser takes FP8, FP4, INT4 and INT8 into a DequantizeLinear, and nothing else."""
    from onnx import TensorProto

    for node in graph.nodes:
        stored = graph.constants.get(node.input[0]) if node.input else None
        if (
            node.op_type == "DequantizeLinear"
            and stored is not None
            and stored.data_type == TensorProto.INT32
        ):
            yield Finding(
                "int32-bias",
                "error",
                named(node),
                f"it dequantizes the int32 bias {node.input[0]}, which TensorRT's parser refuses",
                "Leave biases in float: quantize with QuantizeBias=False.",
            )


def zero_point(graph: Graph) -> Iterator[Finding]:
    """A zero point other than 0, of U8, or computed."""
    from onnx import TensorProto

    for node in graph.nodes:
        if (
            node.op_type not in {"QuantizeLinear", "DequantizeLinear"}
            or len(node.input) < 3
            or not node.input[2]
        ):
            continue
        name = node.input[2]
        stored, values = graph.constants.get(name), graph.array(name)
        severity: Severity = "error"
        if stored is None:
            what = f"its zero point {name} is computed"
        elif values is not None and values.astype(bool).any():
            what = f"its zero point {name} is not 0"
        elif stored.data_type in {TensorProto.UINT8, TensorProto.UINT16}:
            what, severity = f"its zero point {name} is unsigned", "warning"  # some parsers take it as signed
        else:
            continue
        yield Finding(
            "zero-point", severity, named(node), f"{what}; TensorRT takes only 0, signed", _SYMMETRIC
        )


def qoperator(graph: Graph) -> Iterator[Finding]:
    """Nodes that compute on integers themselves, as ONNX Runtime's QOperator format has them."""
    for node in graph.nodes:
        if node.op_type in QOPERATOR:
            yield Finding(
                "qoperator",
                "error",
                named(node),
                "it is of the QOperator format, of which TensorRT takes no node",
                "Quantize to the QDQ format: QuantizeLinear and DequantizeLinear around float operators.",
            )
