"""Every model that a bundle may hold, written from one run and one calibration of it."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.evaluate import Labelled, PhotoFrames
from edgecam_calibration.fp16 import write_fp16
from edgecam_calibration.fp16_report import fp16_document, fp16_line
from edgecam_calibration.learned import Learned, write_learned
from edgecam_calibration.lossless import check_fp16
from edgecam_calibration.mixed.write import BATCH, add_mixed
from edgecam_calibration.mixed.yardstick import Target
from edgecam_calibration.quantization.layers import write_layers
from edgecam_calibration.quantize import TENSORRT, cached_calibration, cpu_profile
from edgecam_calibration.run import Run
from edgecam_calibration.verdict import Bounds
from edgecam_engines.backends import Model, is_tensorrt, open_engine
from edgecam_engines.console import log
from edgecam_engines.engine import Frame, Frames
from edgecam_engines.files import write_json
from edgecam_engines.geometry import fit_batch

PROBE_PHOTOS: Final = 64  # of those that calibrate, for what FP16 loses
SCALES: Final = "models/int8-tensorrt.scales.json"
_FLATTERED: Final = 0.6


def write_models(
    run: Run, folder: Path, calibrators: list[Labelled], *, backend: str, mixed: Target | None
) -> dict[str, str]:
    """Write them into `folder` and return their files by name, relative to it.

    Mixed precision is planned for `backend`, and only where a target for it is given.
    """
    models = {name: f"models/{name}.onnx" for name in ("fp32", "fp16", "int8-cpu", "int8-tensorrt")}
    (folder / "models").mkdir()
    shutil.copyfile(run.model, folder / models["fp32"])
    hw = input_hw_of(run.model)
    paths = [photo.path for photo in calibrators]
    calibration = cached_calibration(run.model, paths, lambda: batches_of(calibrators, hw))
    errors = {}
    for profile in (cpu_profile(), TENSORRT):
        calibration.write(profile, folder / models[profile.name])
        errors[profile.name] = calibration.layer_errors(profile, folder / models[profile.name])
    calibration.write_scales(folder / SCALES)
    write_layers(folder, errors)
    _write_fp16(run, folder / models["fp16"], [*batches_of(calibrators[:PROBE_PHOTOS], hw)])
    if mixed is not None:
        profiles = [cpu_profile(), TENSORRT]
        planned = profiles.pop(is_tensorrt(backend))
        batches = list(batches_of(calibrators, hw, BATCH))
        models |= add_mixed(
            calibration, run.head, folder, models, batches, planned=planned, others=profiles, target=mixed
        )
    return models


def write_trained(
    learned: Learned, backend: str, folder: Path, models: dict[str, str], calibrators: list[Labelled]
) -> str:
    """The INT8 model that the trainer made to be rounded, in the place of the calibrated one; its file."""
    profile = TENSORRT if is_tensorrt(backend) else cpu_profile()
    (folder / models[profile.name]).unlink()
    models[profile.name] = f"models/{profile.name}-trained.onnx"
    batches = batches_of(calibrators[:8], input_hw_of(learned.graph))
    write_learned(learned, profile, folder / models[profile.name], batches)
    return models[profile.name]


def mixed_target(bounds: Bounds) -> Target:
    """What mixed precision is planned for: a tenth of the maps may differ twice as much as the mean.

    Plans are made on photos that were trained on, and those flatter: on groceries INT8 lost 0.047 of CAM IoU
    there and 0.079 on others. So a plan may lose only that share of what the gate allows.
    """
    loss = _FLATTERED * (1 - bounds.min_cam_iou)
    return Target(min_cam_iou=1 - loss, min_cam_iou_p10=max(0.0, 1 - 2 * loss))


def batches_of(photos: list[Labelled], hw: tuple[int, int], size: int = 8) -> Iterator[NDArray[np.uint8]]:
    """Photos as frames fitted to (h, w), `size` at a time; what cannot be read is named and left out."""
    frames: list[Frame] = []
    for frame in PhotoFrames(photos, hw, "Calibrating"):
        frames.append(frame)
        if len(frames) == size:
            yield fit_batch(frames, hw)
            frames = []
    if frames:
        yield fit_batch(frames, hw)


def input_hw_of(model: Path) -> tuple[int, int]:
    """Pixels that a model takes."""
    with closing(open_engine("onnxruntime", Model(model, "fp32", model.parent))) as engine:
        return engine.input_hw


def _write_fp16(run: Run, path: Path, batches: list[Frames]) -> None:
    """Write FP16, check on photos that nothing is lost, say what stays in FP32, and note it beside."""
    halved = write_fp16(run.model, path, batches)
    if not batches:  # none of these photos could be read, and each was named
        return
    loss = check_fp16(run.model, path, run.head, batches)
    write_json(path.with_suffix(".json"), fp16_document(halved, loss))
    log.print(fp16_line(halved, loss), markup=False)
