"""The network that trains and the INT8 file that ships are the same, tensor by tensor."""

import copy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from edgecam_calibration.learned import find_learned, write_learned
from edgecam_calibration.quantize import TENSORRT, Profile
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_training.qat.graph import read_graph
from edgecam_training.qat.keep import keep_student
from edgecam_training.qat.prepare import CPU
from edgecam_training.qat.student import Student
from training.qat_kit import HW, pictures, small_model, small_student, tensors_of

PROFILES = pytest.mark.parametrize("profile", [CPU, TENSORRT], ids=lambda profile: profile.name)


def moved(student: Student) -> Student:
    """With ranges and weights that no calibration would find."""
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for kind in student.kinds:
            ranges = student.ranges_of(kind)
            learns = torch.tensor([name != ranges.pinned for name in ranges.names])
            shifts = learns & (ranges.zero > 0)  # none where steps are signed
            ranges.log_scale += 0.1 * learns * torch.randn(ranges.log_scale.shape, generator=rng)
            ranges.zero += 0.02 * shifts * torch.randn(ranges.zero.shape, generator=rng)
        for parameter in student.model.head.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=rng))
    return student


class Kept(NamedTuple):
    """A student and the folder that it was kept in, with an INT8 file of each profile."""

    student: Student
    folder: Path

    def file(self, kind: str) -> Path:
        return self.folder / f"{kind}.onnx"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kept]:
    """By head, and with a stem that stays in float. What follows changes none of it."""
    models = {head: small_model(head) for head in ("plain", "linear")}
    models["mobile"] = small_model(body="mobile", seed=1)  # of seed 0 a weight lies between two steps
    found = {}
    for head, model in models.items():
        folder, student = tmp_path_factory.mktemp(head), moved(small_student(model))
        keep_student(folder, student, HW)
        learned = find_learned(folder)
        assert learned is not None
        for profile in (CPU, TENSORRT):
            write_learned(learned, profile, folder / f"{profile.name}.onnx", [pictures(2)])
        found[head] = Kept(student, folder)
    return found


@PROFILES
@pytest.mark.parametrize("head", ["plain", "linear", "mobile"])
def test_every_tensor_is_the_files(kept: dict[str, Kept], profile: Profile, head: str) -> None:
    """Each step is given the file's own rounded inputs: one tie that falls the other way would otherwise
    grow from layer to layer and hide what is compared."""
    student, path, frames = kept[head].student, kept[head].file(profile.name), pictures(3, seed=5)
    graph = read_graph(path)
    made = [s.output for s in graph.steps if s.op not in {"Transpose", "Cast"}]
    there = tensors_of(path, frames, [*made, *graph.sources])
    ranges = student.ranges_of(profile.name)
    compared = []

    def as_the_file_has_it(name: str, value: Tensor) -> Tensor:
        rounded = next(there[key] for key, source in graph.sources.items() if source == name)
        step = ranges.grid(name)[0].item()
        off = np.abs(ranges(name, torch.from_numpy(there[name])).detach().numpy() - rounded)
        assert (off > 1e-3 * step).mean() < 1e-3, name  # ties apart
        compared.append(name)
        return torch.from_numpy(rounded)

    found = student.tensors(torch.from_numpy(frames), profile.name, rounds=as_the_file_has_it)
    assert set(compared) == set(ranges.names)
    for name in made:
        size = np.abs(there[name]).max() + 1e-9
        worst = np.abs(found[name].detach().numpy() - there[name]).max() / size
        assert worst < 1e-4, (name, worst)


@PROFILES
def test_answers_are_those_of_the_file_run_in_float(kept: dict[str, Kept], profile: Profile) -> None:
    student, frames = kept["plain"].student, pictures(4, seed=7)
    engine = OnnxRuntimeEngine(kept["plain"].file(profile.name), name="int8", fuse=False)
    features = torch.from_numpy(engine.infer(frames))
    with torch.no_grad():
        ours = student.model.logits(student(torch.from_numpy(frames), profile.name))
        theirs = student.model.logits(features)
    assert torch.allclose(ours, theirs, atol=1e-3 * theirs.abs().max().item())


@pytest.mark.parametrize(("kind", "zero"), [("int8-cpu", 127), ("int8-tensorrt", 0)])
def test_camera_bytes_keep_their_own_steps(kept: dict[str, Kept], kind: str, zero: int) -> None:
    ranges = kept["plain"].student.ranges_of(kind)
    assert ranges.pinned is not None
    scale, at = ranges.grid(ranges.pinned)
    assert not scale.requires_grad
    assert not at.requires_grad
    assert tuple(ranges.grids()[ranges.pinned]) == (1.0, zero)


def test_a_stem_that_stays_in_float_is_rounded_nowhere(kept: dict[str, Kept]) -> None:
    """On a CPU both convolutions, for TensorRT the depthwise one and what it reads."""
    rounded = {}
    for profile in (CPU, TENSORRT):
        graph = read_graph(kept["mobile"].file(profile.name))
        rounded[profile.name] = [
            graph.rounded[step.name].weight for step in graph.steps if step.op == "Conv"
        ][:3]
    assert rounded == {"int8-cpu": [False, False, True], "int8-tensorrt": [True, False, True]}
    assert kept["mobile"].student.ranges_of("int8-cpu").pinned is None  # the camera's bytes stay as they are


@pytest.mark.parametrize("head", ["linear", "mobile"])
def test_a_gradient_reaches_every_weight_and_range(kept: dict[str, Kept], head: str) -> None:
    student = copy.deepcopy(kept[head].student)
    for kind in student.kinds:
        student(torch.from_numpy(pictures(4)), kind).square().mean().backward()
    learning = {name: p for name, p in student.named_parameters() if p.requires_grad}
    assert {name for name, p in learning.items() if p.grad is None or not p.grad.abs().sum() > 0} == set()
    assert {name.split(".")[0] for name in learning} == {"model", "ranges"}
