"""Going on from a finished run or bundle, all the way to a bundle again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import edgecam_training.train as train_module
from edgecam.commands.train import continued
from edgecam_calibration.build import build_engine
from edgecam_calibration.gate import ANYTHING_GOES
from edgecam_engines.errors import TrainingError
from edgecam_engines.head import load_head
from edgecam_training.fewshot.teacher import open_teacher
from edgecam_training.judge import Judged
from edgecam_training.model import read_tensors
from edgecam_training.options import Options
from edgecam_training.train import train
from training.photo_kit import picture
from training.qat_kit import use_small_backbone
from training.tune_kit import OLD, base_run, photos_of, to_tune


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_run(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def bundle(base: Path) -> Path:
    return built(base, base.parent / "base.edgecam")


@pytest.fixture(autouse=True)
def small_backbone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    use_small_backbone(monkeypatch)
    return None


def built(run: Path, out: Path) -> Path:
    build_engine(run, out, precision="fp32", backend="onnxruntime", bounds=ANYTHING_GOES)
    return out


def recalls(judged: Judged) -> dict[str, float]:
    return {each.name: each.recall for each in judged.report.per_class}


def test_the_head_alone_learns_a_class_and_the_graph_stays_to_the_last_byte(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    judged = train(photos_of(tmp_path / "new", "red"), run, to_tune(base, "head", epochs=30, lr_head=5e-2))
    assert load_head(run / "head.safetensors").classes == ("blue", "green", "red")
    assert (run / "model.onnx").read_bytes() == (base / "model.onnx").read_bytes()
    before, after = (read_tensors(path / "weights.safetensors") for path in (base, run))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classify.weight", "classify.bias"}
    assert min(recalls(judged).values()) >= 0.5
    said = capsys.readouterr().err
    assert said.index("Time: about") < said.index("epoch 1/30")


@pytest.mark.parametrize("tune", ["bias", "last-stage", "all"])
def test_a_new_class_is_learned_and_old_ones_are_not_forgotten(base: Path, tmp_path: Path, tune: str) -> None:
    judged = train(photos_of(tmp_path / "new", "red"), tmp_path / "run", to_tune(base, tune, epochs=24))
    found = recalls(judged)
    assert set(found) == {"blue", "green", "red"}
    assert min(found.values()) >= 0.5
    assert judged.report.top1 >= 0.8


def test_a_stopped_run_goes_on_to_the_last_bit_as_if_it_had_not_been(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecam_training.finish.finish", lambda *_: None)
    photos, options = photos_of(tmp_path / "new", "red"), to_tune(base, "bias", checkpoint_minutes=1e-9)
    train(photos, tmp_path / "whole", options)
    plain, steps = train_module.one_step, iter(range(100))

    def interrupted(*given: Any, **named: Any) -> float:
        if next(steps) == 4:
            raise KeyboardInterrupt
        return plain(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "one_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(photos, tmp_path / "parts", options)
    train(photos, tmp_path / "parts", Options(), resume=True)
    whole, parts = (
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "parts")
    )
    for part in ("model", "ema"):
        assert all(torch.equal(whole[part][name], parts[part][name]) for name in whole[part])
    averages = whole["optimizer"]["state"]
    assert len(averages) == len(parts["optimizer"]["state"]) > 10
    for number, own in averages.items():
        assert all(torch.equal(own[key], parts["optimizer"]["state"][number][key]) for key in own)


def test_a_bundle_goes_on_with_what_it_was_taught_and_becomes_a_bundle_again(
    bundle: Path, tmp_path: Path
) -> None:
    with open_teacher(bundle, check=False) as teacher:
        for number in range(8):
            teacher.add(picture("red", number), "red", source="kit")
    data = photos_of(tmp_path / "new", *OLD, first=60, count=8)
    judged = train(data, tmp_path / "run", to_tune(bundle, "last-stage", epochs=8))
    assert min(recalls(judged).values()) >= 0.5
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    red = [Path(entry["path"]) for entry in (*split["train"], *split["val"]) if entry["label"] == 2]
    assert len(red) == 8
    assert all(path.is_file() and path.is_relative_to(tmp_path / "run" / "photos") for path in red)
    again = built(tmp_path / "run", tmp_path / "again.edgecam")
    assert continued(Options(), str(again), "bias").backbone == "small"


def test_a_bundle_without_photos_of_what_it_knows_is_refused_and_nothing_is_written(
    bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"which base\.edgecam knows and would forget"):
        train(photos_of(tmp_path / "new", "red"), tmp_path / "run", to_tune(bundle, "bias"))
    assert not (tmp_path / "run").exists()


def test_learning_to_be_rounded_wants_a_run(bundle: Path, tmp_path: Path) -> None:
    options = continued(Options(qat=1), str(bundle))
    with pytest.raises(TrainingError, match=r"(?s)is a bundle.*--init RUN.*--tune bias"):
        train(photos_of(tmp_path / "old", *OLD), tmp_path / "run", options)
    assert not (tmp_path / "run").exists()
