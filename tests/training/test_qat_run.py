"""A whole training that ends in learning to be rounded: what it leaves, and that it can be stopped."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgecam.commands.train import continued
from edgecam_calibration.learned import find_learned
from edgecam_engines.errors import TrainingError
from edgecam_training.model import read_tensors
from edgecam_training.options import Options, save_options
from edgecam_training.qat import tune as tune_module
from edgecam_training.qat.compare import distances
from edgecam_training.qat.lesson import Lesson, make_optimizer, one_step
from edgecam_training.train import train
from training.photo_kit import make_photos
from training.qat_kit import pictures, small_model, small_student, use_small_backbone

OPTIONS = Options(
    input_height=64,
    input_width=64,
    backbone="small",
    head="plain",
    pretrained=False,
    dim=64,
    epochs=2,
    qat=1,
    batch=8,
    head_epochs=0,
    last_epochs=0,
    small_share=0.0,
)


@pytest.fixture(autouse=True)
def small_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_backbone(monkeypatch)


def test_a_stopped_lesson_goes_on_to_the_last_bit_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = make_photos(tmp_path / "photos", count=10)
    train(photos, tmp_path / "whole", OPTIONS)

    plain, steps = tune_module.one_step, iter(range(10))

    def interrupted(*given: object, **named: object) -> float:
        if next(steps) == 2:
            raise KeyboardInterrupt
        return plain(*given, **named)  # type: ignore[arg-type]

    options = replace(OPTIONS, checkpoint_minutes=1e-9)
    with monkeypatch.context() as patch:
        patch.setattr(tune_module, "one_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(photos, tmp_path / "parts", options)
    assert find_learned(tmp_path / "parts") is None
    train(photos, tmp_path / "parts", options, resume=True)

    whole, parts = (find_learned(tmp_path / name) for name in ("whole", "parts"))
    assert whole is not None
    assert parts is not None
    assert whole.grids == parts.grids
    assert whole.graph.read_bytes() == parts.graph.read_bytes()
    assert set(whole.grids) == {"int8-cpu", "int8-tensorrt"}


def test_the_float_network_is_the_one_before_and_the_other_has_moved(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", count=10)
    train(photos, tmp_path / "plain", replace(OPTIONS, epochs=1, qat=0))
    train(photos, tmp_path / "more", continued(Options(qat=1), str(tmp_path / "plain")))
    before, after = (read_tensors(tmp_path / name / "weights.safetensors") for name in ("plain", "more"))
    assert all(torch.equal(before[name], after[name]) for name in before)
    graphs = [(tmp_path / name).read_bytes() for name in ("plain/model.onnx", "more/model.onnx")]
    assert graphs[0] == graphs[1]
    assert (tmp_path / "more/qat.onnx").read_bytes() != graphs[0]
    rows = [json.loads(line) for line in (tmp_path / "more/qat.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0, 1]


def test_a_run_does_not_begin_with_one_that_learned_from_its_judges(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", count=10)
    train(photos, tmp_path / "plain", replace(OPTIONS, epochs=1, qat=0))
    options = continued(Options(qat=1, seed=5), str(tmp_path / "plain"))
    with pytest.raises(TrainingError, match="that would judge now"):
        train(photos, tmp_path / "more", options)
    assert not (tmp_path / "more").exists()


def test_settings_not_given_are_those_of_the_run_to_go_on_from(tmp_path: Path) -> None:
    save_options(replace(OPTIONS, batch=6, recolour=0.2), tmp_path / "options.json")
    options = continued(Options(qat=3, recolour=0.4), str(tmp_path))
    assert (options.batch, options.recolour, options.epochs, options.qat) == (6, 0.4, 3, 3)
    with pytest.raises(TrainingError, match="Add --qat 1"):
        continued(Options(), str(tmp_path))


def test_a_net_that_is_hard_to_round_is_learned() -> None:
    """Channels planted a thousand times apart before a depthwise convolution that evens them out again."""
    teacher = small_model()
    first, second = teacher.backbone.body[2], teacher.backbone.body[3].block
    scale = torch.logspace(-1.5, 1.5, 8)
    with torch.no_grad():
        first[1].weight.mul_(scale)
        first[1].bias.mul_(scale)
        second[0].weight.div_(scale.view(8, 1, 1, 1))
        second[4].weight.mul_(scale)
        second[4].bias.mul_(scale)
        teacher.backbone.body[4][0].weight.div_(scale.view(1, 8, 1, 1))
    teacher.requires_grad_(False)
    student = small_student(copy.deepcopy(teacher).requires_grad_(True))
    options = replace(OPTIONS, qat_lr=1e-3, qat_lr_ranges=2e-2)
    frames = pictures(32, seed=3)
    before = {d.kind: d.cam_iou for d in distances(student, teacher, frames)}
    lesson, optimizer = Lesson(student, teacher), make_optimizer(student, options)
    for step in range(60):
        batch = torch.from_numpy(pictures(8, seed=100 + step))
        one_step(lesson, student, optimizer, batch, options)
    after = {d.kind: d.cam_iou for d in distances(student, teacher, frames)}
    assert min(before.values()) < 0.9
    assert all(after[kind] > before[kind] + 0.02 for kind in before if before[kind] < 0.95), (before, after)
