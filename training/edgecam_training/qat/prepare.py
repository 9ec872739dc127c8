"""From a trained float network to one that rounds: calibrated on training photos as `build-engine` does."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from edgecam_calibration.quantize import PLAIN, TENSORRT, Calibration, Profile
from edgecam_engines.errors import TrainingError
from edgecam_engines.geometry import fit
from edgecam_training.batches import Frames, epoch_order
from edgecam_training.export import export_onnx
from edgecam_training.model import Model
from edgecam_training.qat.fold import folded
from edgecam_training.qat.graph import Graph, Step, read_graph, run_graph
from edgecam_training.qat.student import Student, Written

CALIBRATION_PHOTOS: Final = 128
# The device's processor is not known yet: weights of 7 bits hold on every one, and 8 bits only add to that.
CPU: Final = Profile("int8-cpu", signed=False, reduce_range=True, quantize_bias=True)
PROFILES: Final = (CPU, TENSORRT)


def make_student(
    teacher: Model,
    frames: Frames,
    labels: NDArray[np.int64],
    hw: tuple[int, int],
    *,
    ranges: str,
    profiles: tuple[Profile, ...] = PROFILES,
) -> Student:
    """A Student with a copy of the teacher's weights and calibrated ranges; the same for the same photos.

    `frames` and `labels` (n,) are the training photos, some of which calibrate. Raises TrainingError when
    the network holds something that cannot be trained this way.
    """
    order = epoch_order(labels, 1.0, np.random.default_rng(0))
    some = np.unique(order[:CALIBRATION_PHOTOS])
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "model.onnx"
        export_onnx(teacher, hw, exported)
        _check(teacher, read_graph(exported), _batch(frames, some[:1], hw))
        calibration = Calibration(exported, _batches(frames, some, hw))
        written = []
        for profile in profiles:
            path = Path(folder) / f"{profile.name}.onnx"
            calibration.write(profile, path, recipe=PLAIN)
            written.append(Written(profile, read_graph(path)))
    return Student(teacher, written, ranges=ranges)


def _check(model: Model, graph: Graph, frames: NDArray[np.uint8]) -> None:
    """That the graph, given the folded parameters, computes what the network computes, and that all of its
    convolutions are among them: one that the exporter merged with another would stay as it is."""
    photos = torch.from_numpy(frames)

    def unrounded(step: Step, values: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
        names = step.inputs
        return values[names[1]], values[names[2]] if len(names) > 2 else None

    with torch.no_grad():
        wanted = model(photos)
        found = run_graph(graph, photos, folded(model), lambda _, x: x, unrounded)[graph.features]
        known = folded(model)
    lost = [s.name for s in graph.steps if s.op == "Conv" and not set(s.inputs[1:]) <= set(known)]
    if lost:
        raise TrainingError(
            f"--qat cannot train this network: {', '.join(lost[:5])} take no parameter of it.\n"
            f"Train without --qat, or with the default backbone and head."
        )
    error = (found - wanted).abs().max() / wanted.abs().max()
    if not error < 1e-3:
        raise TrainingError(
            f"--qat cannot train this network: its graph and its parameters differ by {error:.1%}.\n"
            f"Train without --qat, or with the default backbone and head."
        )


def _batches(frames: Frames, some: NDArray[np.int64], hw: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(some), 8):
        yield _batch(frames, some[start : start + 8], hw)


def _batch(frames: Frames, some: NDArray[np.int64], hw: tuple[int, int]) -> NDArray[np.uint8]:
    return np.stack([fit(np.asarray(frames[int(i)]), hw) for i in some])
