"""What learns in each kind of tuning, and that all else stays to the last bit."""

import copy

import pytest
import torch
from torch import nn

from edgecam_training.batches import Batch
from edgecam_training.model import Model
from edgecam_training.optimizer import make_optimizer, unfreeze
from edgecam_training.options import TUNES, Options
from edgecam_training.step import one_step
from edgecam_training.tuning import LEARNS, let_learn
from training.qat_kit import pictures, small_model

BATCH = Batch(torch.from_numpy(pictures(6)), torch.arange(6) % 3)


def moved_by(tune: str, *, head: str = "linear") -> tuple[Model, set[str]]:
    """The names of everything in the network, statistics too, that three steps change."""
    model = small_model(head)
    before = copy.deepcopy(model.state_dict())
    options = Options(
        epochs=1, head_epochs=0, last_epochs=0, mix="none", er=0, ecr=0, l2=1e-3, init="x", tune=tune
    )
    optimizer = make_optimizer(model, options)
    unfreeze(model, 0, options)
    for step in range(3):
        one_step(model, optimizer, BATCH, options, epoch=0, step=step)
    after = model.state_dict()
    return model, {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("head", ["linear", "moe"])
def test_the_head_alone_changes_the_class_head_alone(head: str) -> None:
    assert moved_by("head", head=head)[1] == {"classify.weight", "classify.bias"}


def test_bias_changes_every_bias_and_the_class_head_and_no_statistics() -> None:
    model, moved = moved_by("bias")
    biases = {name for name, _ in model.named_parameters() if name.endswith(".bias")}
    # What is added to every key alike falls out of a softmax over places.
    assert moved | {"head.attention.key.bias"} == biases | {"classify.weight"} | {"head.attention.key.bias"}
    assert any(name.startswith("backbone.body.0.") for name in moved)


def test_the_last_stage_changes_what_lies_behind_stride_16() -> None:
    model, moved = moved_by("last-stage")
    first = model.backbone.taps[0] + 1
    behind = tuple(f"backbone.body.{i}." for i in range(first, len(model.backbone.body)))
    assert all(name.startswith((*behind, "head.", "classify.")) for name in moved)
    assert any(name.startswith(behind) for name in moved)
    assert not any("running" in name or "batches" in name for name in moved)


def test_all_changes_every_weight_and_still_no_statistics() -> None:
    model, moved = moved_by("all")
    assert moved | {"head.attention.key.bias"} == {name for name, _ in model.named_parameters()} | {
        "head.attention.key.bias"
    }


@pytest.mark.parametrize("tune", TUNES)
def test_norms_keep_their_statistics_and_dropout_is_on(tune: str) -> None:
    model = small_model()
    let_learn(model, tune)
    assert model.training
    assert not any(m.training for m in model.modules() if isinstance(m, nn.BatchNorm2d))


def test_every_kind_that_options_know_is_there() -> None:
    assert tuple(LEARNS) == TUNES
