"""A run with everything that looks at maps switched on: it goes on to the same bit and leaves no PCM."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import edgecam_training.train as train_module
from edgecam_training.model import Model
from edgecam_training.optimizer import make_optimizer
from edgecam_training.options import Options
from edgecam_training.seam import add_correlation
from edgecam_training.step import one_step
from edgecam_training.train import train
from training.photo_kit import make_photos

EVERYTHING = Options(
    input_height=64,
    input_width=96,
    backbone="mobilenet_v3_small",
    head="plain",
    pretrained=False,
    dim=64,
    epochs=2,
    batch=8,
    head_epochs=1,
    last_epochs=0,
    clean_epochs=1,
    er=1.0,
    ecr=1.0,
    rvmin=1.0,
    seam_cls=0.5,
    seam_pcm="linear",
    distil=1.0,
    seam_transform="tilt",
    seam_share=0.5,
    cam_entropy=0.02,
    cam_concentration=2e-4,
)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stands in for export and pictures; holds the weights that they were given."""
    states: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "edgecam_training.finish.finish", lambda _, model, *__: states.append(model.state_dict())
    )
    return states


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


@pytest.mark.parametrize("transform", ["tilt", "rescale"])
def test_a_stopped_run_goes_on_to_the_same_last_bit_and_keeps_no_pcm(
    transform: str, tmp_path: Path, kept: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photos = make_photos(tmp_path / "photos", count=7)
    options = replace(EVERYTHING, seam_transform=transform)
    train(photos, tmp_path / "straight", options)

    def stopping(*given: Any, epoch: int, step: int, **team: Any) -> float:
        if (epoch, step) == (1, 0):
            os.kill(os.getpid(), signal.SIGINT)
        return one_step(*given, epoch=epoch, step=step, **team)

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "one_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(photos, tmp_path / "stopped", options)
    torch.manual_seed(999)
    train(photos, tmp_path / "stopped", options, resume=True)
    straight, stopped = (
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("straight", "stopped")
    )
    assert equal(straight, stopped)
    assert any(name.startswith("pcm.") for name in straight["model"])
    assert len(kept) == 2
    assert not [name for name in kept[0] if name.startswith("pcm.")]
    assert equal(dict(kept[0]), dict(kept[1]))


def made(options: Options) -> Model:
    torch.manual_seed(0)
    model = Model(3, backbone=options.backbone, head=options.head, dim=64, dropout=0.0, pretrained=False)
    return add_correlation(model, options)


def test_pcm_learns_at_the_heads_rate() -> None:
    model = made(EVERYTHING)
    groups = make_optimizer(model, EVERYTHING).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    assert {rates[id(p)] for p in model.pcm.parameters()} == {EVERYTHING.lr_head}
    assert {rates[id(p)] for p in model.backbone.parameters()} == {EVERYTHING.lr_backbone}


def test_what_pcm_learns_alone_changes_nothing_that_is_kept() -> None:
    """As published: without distil, the cross and min-pooling losses train PCM and nothing else."""
    frames = torch.randint(0, 256, (8, 64, 96, 3), dtype=torch.uint8)
    batch = train_module.Batch(frames, torch.arange(8) % 3)
    after = []
    for weight in (1.0, 2.0):
        # Clipping is over all weights together, so it is kept out of the way.
        options = replace(EVERYTHING, ecr=weight, rvmin=weight, distil=0.0, clip_norm=1e9)
        model = made(options)
        torch.nn.init.normal_(model.classify.weight, std=0.1)
        one_step(model, make_optimizer(model, options), batch, options, epoch=0, step=0)
        after.append(model.state_dict())
    same = {name for name in after[0] if torch.equal(after[0][name], after[1][name])}
    assert {name for name in after[0] if not name.startswith("pcm.")} <= same
    assert {name for name in after[0] if name.startswith("pcm.")} - same
