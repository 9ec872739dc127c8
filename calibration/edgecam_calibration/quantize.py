"""One calibration, two INT8 profiles of one graph, and its FP16 form. Precision lives in the ONNX file.

TensorRT wants symmetric S8 and no quantized bias; a CPU wants U8 activations with S8 weights, whose
range is halved where the processor's 16-bit sums would saturate (x86 without VNNI).
"""

import logging
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgecam_calibration.islands import before_divisions, fp32_islands, join_islands
from edgecam_engines.engine import Frames
from edgecam_engines.errors import DataError, EngineError
from edgecam_engines.files import write_atomically

# Clip must be among them: without it the quantizer stands before ReLU6, where the range is wide.
QUANTIZED: Final = ("Conv", "Clip", "Relu", "Add")


@dataclass(frozen=True)
class Profile:
    """How one kind of hardware wants its Q/DQ pairs."""

    name: str
    signed: bool  # activations S8 and symmetric, or U8 with a zero point
    reduce_range: bool  # weights in 7 bits
    quantize_bias: bool


TENSORRT: Final = Profile("int8-tensorrt", signed=True, reduce_range=False, quantize_bias=False)


def cpu_profile(cpuinfo: Path = Path("/proc/cpuinfo")) -> Profile:
    """For this processor: weights lose a bit on x86 without VNNI, where full range would saturate."""
    text = cpuinfo.read_text(errors="replace") if cpuinfo.exists() else ""
    is_x86 = "sse2" in text  # every x86-64 has it, whoever made it
    return Profile("int8-cpu", signed=False, reduce_range=is_x86 and "vnni" not in text, quantize_bias=True)


class Calibration:
    """The range of every tensor over the calibration frames; measured once, used by every profile."""

    def __init__(self, onnx_file: Path, batches: Iterable[Frames]) -> None:
        from onnxruntime.quantization.calibrate import create_calibrator

        self._file = onnx_file
        with tempfile.TemporaryDirectory() as folder:
            calibrator = create_calibrator(
                onnx_file, [*QUANTIZED], augmented_model_path=str(Path(folder) / "augmented.onnx")
            )
            reader = _Reader(_input_name(onnx_file), batches)
            try:
                calibrator.collect_data(reader)
            except ValueError as error:
                if reader.given:
                    raise
                raise DataError(
                    "No calibration photo could be read. Give others with --calibration DIR."
                ) from error
            self.ranges = calibrator.compute_data()

    def write(
        self,
        profile: Profile,
        path: Path,
        *,
        kept: Collection[str] = (),
        grids: Mapping[str, tuple[float, int]] | None = None,
    ) -> None:
        """Write the graph with this profile's Q/DQ pairs; the nodes named in `kept` stay in float.

        `grids` (a tensor's name -> scale and zero point) stand in the place of calibrated ranges.
        """
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
        from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

        model = load_model_with_shape_infer(self._file)
        activation = QuantType.QInt8 if profile.signed else QuantType.QUInt8
        quantizer = QDQQuantizer(
            model,
            True,  # one scale for each channel of a weight
            profile.reduce_range,
            QuantType.QInt8,
            activation,
            self.ranges,
            [],
            [*_kept_in_float(model), *before_divisions(model), *kept],
            [*QUANTIZED],
            {
                "ActivationSymmetric": profile.signed,
                "WeightSymmetric": True,
                "QuantizeBias": profile.quantize_bias,
                "TensorQuantOverrides": {
                    **_pinned_input(model, activation),
                    **_given(grids or {}, activation),
                },
            },
        )
        with _quiet_root_logger():
            quantizer.quantize_model()
        write_atomically(path, quantizer.model.model.SerializeToString())


class _Reader:
    """The calibrator's way of asking for input."""

    def __init__(self, name: str, batches: Iterable[Frames]) -> None:
        self._name, self._batches = name, iter(batches)
        self.given = 0

    def get_next(self) -> dict[str, Frames] | None:
        batch = next(self._batches, None)
        self.given += batch is not None
        return None if batch is None else {self._name: batch}

    def __iter__(self) -> "_Reader":
        return self

    def __next__(self) -> dict[str, Frames]:
        if (batch := self.get_next()) is None:
            raise StopIteration
        return batch


class _quiet_root_logger:
    """The quantizer advises on the root logger to run steps that our exporter has done already."""

    def __enter__(self) -> None:
        self._level = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().setLevel(self._level)


def write_fp16(onnx_file: Path, path: Path) -> None:
    """The graph in FP16, with softmax and other normalisers in FP32 islands and float32 features out."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = onnx.load(onnx_file)
    islands = fp32_islands(model)
    halved = convert_float_to_float16(model, keep_io_types=True, op_block_list=[], node_block_list=islands)
    write_atomically(path, join_islands(halved, islands).SerializeToString())


def _input_name(onnx_file: Path) -> str:
    import onnx

    inputs = onnx.load(onnx_file, load_external_data=False).graph.input
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != onnx.TensorProto.UINT8:
        raise EngineError(f"{onnx_file.name} does not take one uint8 image. It was not exported by edgecam.")
    return str(inputs[0].name)


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


def _given(grids: Mapping[str, tuple[float, int]], activation: Any) -> dict[str, list[dict[str, Any]]]:
    kind = np.int8 if activation.name == "QInt8" else np.uint8
    return {
        name: [
            {
                "quant_type": activation,
                "scale": np.array(scale, dtype=np.float32),
                "zero_point": np.array(zero_point, dtype=kind),
            }
        ]
        for name, (scale, zero_point) in grids.items()
    }


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
