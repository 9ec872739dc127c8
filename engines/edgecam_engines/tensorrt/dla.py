"""The Jetson's deep learning accelerator (DLA): whether it can be built for here, and from what.

It wants no Q/DQ nodes. TensorRT 10 builds for it from the plain ONNX file: FP16 by a flag, INT8 from the
range of every tensor, which stands in a file beside the model. TensorRT 11 has neither the flags nor the
ranges, and no DLA at all on a Jetson before 11.4.1: there the FP16 file is built, typed as it is.
Source: "Strongly Typed Networks for DLA" and "Working with DLA" in NVIDIA's TensorRT documentation.
"""

import json
import math
from pathlib import Path
from typing import Any, Final, NamedTuple

from edgecam_engines.errors import BackendUnavailable, BuildFailed

PRECISIONS: Final = ("fp16", "int8")
_SCALES_LIMIT: Final = 16 << 20  # bytes; ours have a few thousand
_INT8_MOST: Final = 127
_ON_THE_GPU: Final = (
    "Build for the GPU, which takes every precision, by leaving the DLA out:\n    --backend tensorrt"
)


class Source(NamedTuple):
    """What one plan is built from."""

    onnx: Path
    scales: Path | None = None  # JSON, tensor -> scale; only for the DLA in INT8

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.onnx,) if self.scales is None else (self.onnx, self.scales)


def weakly_typed(trt: Any) -> bool:
    """Whether this TensorRT chooses precisions by flags and ranges, as the DLA needs it in TensorRT 10."""
    return hasattr(trt.BuilderFlag, "FP16") and hasattr(trt.ITensor, "set_dynamic_range")


def dla_source(trt: Any, model: Path, precision: str) -> Source:
    """What a DLA plan of `model`, a file of a bundle, is built from.

    Raises BuildFailed where this precision cannot be had on a DLA, with the reason.
    """
    if precision not in PRECISIONS:
        raise BuildFailed(f"A DLA computes in FP16 and INT8 alone, not in {precision}.\n{_ON_THE_GPU}")
    if not weakly_typed(trt):
        if precision == "int8":
            raise BuildFailed(
                f"TensorRT {trt.__version__} cannot be given the INT8 ranges that a DLA needs: a tensor "
                f"has no range any more, and a DLA takes no Q/DQ nodes.\n"
                f"Use --precision fp16, or TensorRT 10.\n{_ON_THE_GPU}"
            )
        return Source(model)
    plain = model.with_name("fp32.onnx")
    scales = model.with_name(f"{model.stem}.scales.json") if precision == "int8" else None
    for file in (plain, scales):
        if file is not None and not file.is_file():
            raise BuildFailed(
                f"A DLA plan in {precision} is built from {file.name}, which is not beside {model.name}.\n"
                f"Build the bundle again with this edgecam:\n    edgecam build-engine RUN --out NAME.edgecam"
            )
    return Source(plain, scales)


def check_core(trt: Any, builder: Any, core: int) -> None:
    """Raises BackendUnavailable where this device, with this TensorRT, has no such core."""
    cores = int(getattr(builder, "num_DLA_cores", 0))
    if not 0 <= core < cores:
        seen = f"cores 0 to {cores - 1}" if cores > 1 else "core 0 alone" if cores else "no DLA"
        raise BackendUnavailable(
            f"DLA core {core} is asked for, and TensorRT {trt.__version__} sees {seen} here.\n"
            f"A Jetson AGX Orin has two, with TensorRT up to 10.7 (JetPack 6) and from 11.4.1 on (JetPack "
            f"7.2.2); cards and TensorRT 11.0 to 11.3 have none.\n{_ON_THE_GPU}"
        )


def configure(trt: Any, config: Any, core: int, precision: str) -> None:
    """Everything to the DLA that it can do, the rest (bytes, attention) to the GPU."""
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    if hasattr(trt.BuilderFlag, "FP16"):
        config.set_flag(trt.BuilderFlag.FP16)
    if precision == "int8" and hasattr(trt.BuilderFlag, "INT8"):
        config.set_flag(trt.BuilderFlag.INT8)


def read_scales(path: Path) -> dict[str, float]:
    """Tensor -> scale: a tensor's INT8 value times its scale is its value. Raises BuildFailed."""
    try:
        if path.stat().st_size > _SCALES_LIMIT:
            raise ValueError(f"it is larger than {_SCALES_LIMIT} bytes")
        document = json.loads(path.read_text(encoding="utf-8"))
        scales = {str(name): float(scale) for name, scale in document.items()}
        if wrong := [name for name, scale in scales.items() if not (math.isfinite(scale) and scale > 0)]:
            raise ValueError(f"the scale of {wrong[0]!r} is {scales[wrong[0]]}")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BuildFailed(
            f"{path.name} does not hold a scale for each tensor: {error}.\n"
            f"Build the bundle again with:\n    edgecam build-engine RUN --out NAME.edgecam"
        ) from error
    return scales


def give_ranges(network: Any, scales: dict[str, float], name: str) -> int:
    """Tell the network what INT8 covers in each tensor; how many were told.

    Tensors without a scale stay in FP16. Raises BuildFailed when no name fits, as with scales of another
    model.
    """
    layers = (network.get_layer(i) for i in range(network.num_layers))
    made = [layer.get_output(i) for layer in layers for i in range(layer.num_outputs)]
    told = 0
    for tensor in made:
        if tensor.name in scales and hasattr(tensor, "set_dynamic_range"):
            reach = scales[tensor.name] * _INT8_MOST
            told += bool(tensor.set_dynamic_range(-reach, reach))
    if not told:
        raise BuildFailed(
            f"None of the tensors that {name} has scales for is in the model, so it belongs to another one.\n"
            f"Build the bundle again with:\n    edgecam build-engine RUN --out NAME.edgecam"
        )
    return told
