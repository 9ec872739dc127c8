"""Settings: checked once, saved beside the result, and read back as they were."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from edgecam_engines.errors import TrainingError
from edgecam_training.options import Options, load_options, save_options, shrunk


def test_settings_come_back_as_they_were_saved(tmp_path: Path) -> None:
    options = Options(epochs=7, lr_head=1e-4, backbone="resnet18", pretrained=False)
    save_options(options, tmp_path / "options.json")
    assert load_options(tmp_path / "options.json") == options


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_height": 100},
        {"input_width": 32},
        {"input_width": 2048},
        {"epochs": 0},
        {"batch": 1},
        {"accumulate": 0},
        {"accumulate": 33},
        {"checkpoint_minutes": 0.0},
        {"dim": 100},
        {"experts_kept": 5},
        {"experts_kept": 0},
        {"experts": 17},
        {"expert_balance": -0.1},
        {"min_photos": 1},
        {"dropout": 1.0},
        {"ema": -0.1},
        {"mix_probability": 1.5},
        {"mix_alpha": 0.0},
        {"clip_norm": 0.0},
        {"min_crop": 0.0},
        {"seam_scale": 1.1},
        {"lr_head": -1.0},
        {"lr_head": float("nan")},
        {"clean_epochs": -1},
        {"head_epochs": -1},
        {"frozen_stages": -1},
        {"train_scale": 0.0},
        {"train_scale": 1.2},
        {"seed": -1},
    ],
    ids=str,
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(wrong: dict[str, Any]) -> None:
    name = next(iter(wrong))
    with pytest.raises(TrainingError) as caught:
        Options(**wrong)
    assert name.removesuffix("_height").removesuffix("_width") in str(caught.value)
    assert "edgecam train --help" in str(caught.value)


@pytest.mark.parametrize(
    "edge", [{"mix_probability": 1.0}, {"mix_probability": 0.0}, {"clean_epochs": 0}], ids=str
)
def test_the_ends_of_a_range_are_allowed(edge: dict[str, Any]) -> None:
    assert replace(Options(), **edge) != Options() or edge == {}


@pytest.mark.parametrize(
    "text", ["", "[1]", "3", '{"epochs": "many"}', '{"colour": "red"}', '{"epochs": 0}'], ids=str
)
def test_a_file_that_holds_no_settings_is_a_training_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "options.json"
    path.write_text(text)
    with pytest.raises(TrainingError):
        load_options(path)
    with pytest.raises(TrainingError, match="settings of a run"):
        load_options(tmp_path / "nowhere.json")


def test_every_setting_is_in_the_file(tmp_path: Path) -> None:
    save_options(Options(), tmp_path / "options.json")
    assert set(json.loads((tmp_path / "options.json").read_text())) == {
        field.name for field in fields(Options)
    }


def test_the_first_epochs_are_smaller_and_the_last_are_not() -> None:
    options = Options(epochs=10, input_height=160, input_width=320, small_scale=0.8, small_share=0.6)
    assert [options.train_hw(epoch) for epoch in (0, 5, 6, 9)] == [(128, 256)] * 2 + [(160, 320)] * 2


def test_training_may_be_smaller_than_the_input_throughout() -> None:
    options = Options(epochs=10, input_height=256, input_width=256, train_scale=0.875, small_share=0.4)
    assert [options.train_hw(epoch) for epoch in (0, 3, 4, 9)] == [(160, 160)] * 2 + [(224, 224)] * 2
    assert options.input_hw == (256, 256)


@pytest.mark.parametrize("hw", [(64, 64), (64, 96), (160, 160), (224, 320), (1024, 96)])
@pytest.mark.parametrize("scale", [0.1, 0.3, 0.6, 0.8, 1.0])
def test_a_shrunk_size_is_one_that_the_network_takes_and_never_larger(
    hw: tuple[int, int], scale: float
) -> None:
    small = shrunk(hw, scale)
    assert all(side % 32 == 0 and 64 <= side <= full for side, full in zip(small, hw, strict=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"seam_pcm": "quadratic"},
        {"seam_transform": "shear"},
        {"distil": 0.1},
        {"rvmin": -1.0},
        {"seam_cls": -1.0},
        {"cam_entropy": -0.1},
        {"cam_concentration": float("nan")},
    ],
    ids=str,
)
def test_a_setting_of_the_maps_losses_that_makes_no_sense_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        Options(**wrong)


def test_any_of_its_weights_calls_for_the_second_branch() -> None:
    off = Options(er=0, ecr=0)
    assert not off.seam
    assert not replace(off, cam_entropy=1, cam_concentration=1, seam_pcm="linear").seam
    for weight in ("er", "ecr", "rvmin", "seam_cls", "distil"):
        assert replace(off, seam_pcm="linear", **{weight: 0.1}).seam
