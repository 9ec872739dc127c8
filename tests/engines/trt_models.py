"""Small models of the shape that edgecam exports: uint8 (n, 16, 16, 3) in, float (n, 8, 8, 8) out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecam_engines.cuda.find import probe
from edgecam_engines.engine import Features, Frames

HW = (16, 16)
PRECISIONS = ("fp32", "fp16", "fp16-float-out", "int8")

needs_device = [
    pytest.mark.jetson,
    pytest.mark.skipif(probe().device is None, reason=f"needs an NVIDIA GPU: {probe().reason}"),
]


def frames(n: int, seed: int = 0) -> Frames:
    return np.random.default_rng(seed).integers(0, 256, (n, *HW, 3)).astype(np.uint8)


def small_model(*, last: str = "Relu", batch: int | str = "n", seed: int = 0) -> onnx.ModelProto:
    """Bytes transposed, cast, centred, convolved with stride 2, then `last`, an operator by name."""
    rng = np.random.default_rng(seed)
    constants = {
        "weight": rng.normal(0, 0.02, (8, 3, 3, 3)).astype(np.float32),
        "bias": rng.normal(0, 1, 8).astype(np.float32),
        "mean": np.float32(127),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], "to_planes", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["numbers"], "to_numbers", to=TensorProto.FLOAT),
        helper.make_node("Sub", ["numbers", "mean"], ["centred"], "centre"),
        helper.make_node(
            "Conv", ["centred", "weight", "bias"], ["sums"], "look", pads=[1] * 4, strides=[2, 2]
        ),
        helper.make_node(last, ["sums"], ["features"], "last"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [batch, *HW, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [batch, 8, 8, 8])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_model(folder: Path, precision: str) -> Path:
    """The small model in a precision, made with the tools that the calibration uses."""
    path = folder / f"{precision}.onnx"
    if precision == "int8":
        return write_quantized(folder, path, bias=False)
    model = small_model()
    if precision.startswith("fp16"):
        from onnxruntime.transformers.float16 import convert_float_to_float16

        model = convert_float_to_float16(model, keep_io_types=precision == "fp16-float-out")
    onnx.save(model, path)
    return path


def write_quantized(folder: Path, path: Path, *, bias: bool) -> Path:
    """Symmetric S8 with Q/DQ; with `bias`, an int32 bias too, which TensorRT's parser refuses."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Photos(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left: Iterator[dict[str, Any]] = iter([{"image": frames(1, seed)} for seed in range(4)])

        def get_next(self) -> dict[str, Any] | None:
            return next(self._left, None)

    source = folder / "to-quantize.onnx"
    onnx.save(small_model(), source)
    quantize_static(
        source,
        path,
        Photos(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": bias},
    )
    return path


def by_onnxruntime(model: Path | bytes, given: Frames) -> Features:
    """The same model on the processor, as written: no fusing into integer kernels."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, bytes) else model.read_bytes()
    session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    (features,) = session.run(None, {"image": given})
    return np.asarray(features, dtype=np.float32)
