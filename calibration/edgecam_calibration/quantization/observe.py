"""One pass over the calibration photos: all that any method, and any profile, wants to know of a graph."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.quantization.graph import Conv, constants, convolutions
from edgecam_calibration.quantization.histogram import ChannelHistograms
from edgecam_calibration.quantization.moments import Moments, draw_patches
from edgecam_engines.engine import Frames
from edgecam_engines.errors import DataError

PLACES: Final = 32  # drawn a photo and convolution
SAMPLE: Final = 16  # frames kept as they are


@dataclass(frozen=True)
class Observations:
    """What was seen. The size does not depend on how many photos there were."""

    frames: int
    tensors: dict[str, ChannelHistograms]
    inputs: dict[str, Moments]  # by the convolution's name
    sample: Frames  # the first few frames, for what must be run again: biases, the report by layer


def observe(
    onnx_file: Path, tensors: Iterable[str], batches: Iterable[Frames], *, rng: np.random.Generator
) -> Observations:
    """Run FP32 over the batches and note the named float tensors, whose second axis is channels.

    Raises DataError when there is no batch.
    """
    import onnx

    model = onnx.load(onnx_file)
    convs, arrays = convolutions(model), constants(model)
    histograms: dict[str, ChannelHistograms] = {}
    shapes = {conv.name: arrays[conv.weight].shape for conv in convs}
    moments = {conv.name: Moments.empty(conv, shapes[conv.name]) for conv in convs}
    wanted = list(dict.fromkeys([*tensors, *(conv.given for conv in convs)]))
    counted = set(tensors)
    session = _session(model, wanted)
    (given,) = session.get_inputs()
    seen, sample = 0, []
    for batch in batches:
        seen += len(batch)
        sample.append(batch[: max(SAMPLE - seen + len(batch), 0)])
        values = dict(zip(wanted, session.run(wanted, {given.name: batch}), strict=True))
        for name in counted:
            _note(histograms, name, values[name])
        for conv in convs:
            moments[conv.name].add(_patches(values[conv.given], conv, shapes[conv.name], rng))
    if not seen:
        raise DataError("No calibration photo could be read. Give others with --calibration DIR.")
    compact = {name: each.compact() for name, each in moments.items()}
    return Observations(seen, histograms, compact, np.concatenate(sample))


def _note(histograms: dict[str, ChannelHistograms], name: str, values: NDArray[np.float32]) -> None:
    if values.ndim < 2:
        values = values.reshape(1, 1, -1)
    if name in histograms:
        histograms[name].add(values)
    else:
        histograms[name] = ChannelHistograms.first(values)


def _patches(
    values: NDArray[np.float32], conv: Conv, shape: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.float32]:
    return draw_patches(values, conv, (shape[2], shape[3]), PLACES, rng)


def _session(model: Any, names: list[str]) -> Any:
    import onnxruntime as ort
    from onnx import helper

    present = {output.name for output in model.graph.output}
    model.graph.output.extend(
        helper.make_empty_tensor_value_info(name) for name in names if name not in present
    )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
