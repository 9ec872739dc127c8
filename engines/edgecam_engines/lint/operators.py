"""Operators that NVIDIA's ONNX parser has nothing for."""

from collections.abc import Iterator
from typing import Final

from edgecam_engines.lint.finding import Finding
from edgecam_engines.lint.graph import Graph, named
from edgecam_engines.lint.quantization import QOPERATOR

# What `OnnxParser.supports_operator` of TensorRT for RTX 1.7 denies, of the operators of ONNX 1.23.
UNSUPPORTED: Final = frozenset(
    {
        "AffineGrid",
        "Bernoulli",
        "BitCast",
        "BitShift",
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "CenterCropPad",
        "Col2Im",
        "Compress",
        "ConcatFromSequence",
        "ConvInteger",
        "CumProd",
        "DFT",
        "DeformConv",
        "Det",
        "DynamicQuantizeLinear",
        "ImageDecoder",
        "MatMulInteger",
        "MaxRoiPool",
        "MaxUnpool",
        "MelWeightMatrix",
        "Multinomial",
        "NegativeLogLikelihoodLoss",
        "Optional",
        "OptionalGetElement",
        "OptionalHasElement",
        "QLinearConv",
        "QLinearMatMul",
        "RegexFullMatch",
        "SequenceAt",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceLength",
        "SequenceMap",
        "SoftmaxCrossEntropyLoss",
        "SplitToSequence",
        "StringConcat",
        "StringNormalizer",
        "StringSplit",
        "SwiGLU",
        "TfIdfVectorizer",
        "Unique",
    }
)
_ADVICE: Final = "Replace it in the model by operators that TensorRT has, or run it with ONNX Runtime."


def unsupported(graph: Graph) -> Iterator[Finding]:
    """By a list, for machines without NVIDIA's parser. QOperator nodes have a rule of their own."""
    for node in graph.nodes:
        if node.op_type in QOPERATOR:
            continue
        if node.domain not in {"", "ai.onnx", "com.microsoft", "trt.plugins"}:
            what = f"it is of the domain {node.domain}, for which TensorRT needs a plugin"
            yield Finding("unsupported-op", "error", named(node), what, _ADVICE)
        elif node.op_type in UNSUPPORTED:
            what = "NVIDIA's parser has nothing for this operator"
            yield Finding("unsupported-op", "error", named(node), what, _ADVICE)
