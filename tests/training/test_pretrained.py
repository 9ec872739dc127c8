"""The kept backbone is a mean of the trained and the pretrained one."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecam_training import backbone as backbones
from edgecam_training.model import Model
from edgecam_training.options import Options
from edgecam_training.pretrained import blend_pretrained
from training.qat_kit import small_body

Weights = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def pretrained_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small backbone whose "pretrained" weights are the same wherever it is made."""

    def body(pretrained: bool) -> backbones.Body:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            return small_body(pretrained)

    monkeypatch.setitem(backbones.BACKBONES, "small", body)


def trained() -> Model:
    """A network that has gone a long way, counters of its batch norms included."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = Model(3, backbone="small", head="plain", dim=64, dropout=0.0, pretrained=False)
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.5)
            else:
                tensor.fill_(7)
    return model


def copied(model: Model) -> Weights:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def blended(share: float) -> tuple[Weights, Weights]:
    """Weights before and after."""
    model = trained()
    before = copied(model)
    blend_pretrained(model, "small", share)
    return before, copied(model)


def test_no_share_changes_no_bit() -> None:
    before, after = blended(0.0)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_whole_share_is_the_pretrained_backbone_below_the_trained_head() -> None:
    before, after = blended(1.0)
    pretrained = backbones.make_backbone("small", pretrained=True).state_dict()
    for name, tensor in after.items():
        part, _, rest = name.partition(".")
        wanted = pretrained[rest] if part == "backbone" and tensor.is_floating_point() else before[name]
        assert torch.equal(tensor, wanted), name


@settings(max_examples=10)
@given(share=st.floats(0.01, 0.99))
def test_every_weight_and_statistic_lies_in_between_by_the_share(share: float) -> None:
    before, after = blended(share)
    _, end = blended(1.0)
    for name, tensor in after.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (1 - share) * before[name] + share * end[name])


@pytest.mark.parametrize(
    ("changed", "share"),
    [
        ({}, 0.2),
        ({"pretrained": False}, 0.0),
        ({"init": "run", "epochs": 3, "qat": 3}, 0.0),
    ],
)
def test_only_what_began_as_the_pretrained_network_is_averaged_with_it(
    changed: dict[str, Any], share: float
) -> None:
    assert Options(pretrained_share=0.2, **changed).blended == share
