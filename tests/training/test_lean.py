"""Frozen layers that keep nothing for the way back: the same answers and gradients from fewer bytes."""

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from edgecam_training.forecast import counted
from edgecam_training.lean import Lean
from edgecam_training.model import Model
from edgecam_training.tuning import let_learn
from training.qat_kit import pictures, small_model

FRAMES = torch.from_numpy(pictures(4))


def tried(model: Model, *, lean: bool) -> tuple[Tensor, dict[str, Tensor], int]:
    """Logits, gradients, and the bytes kept in between."""
    model.zero_grad()
    with Lean() if lean else nullcontext(), counted(model) as kept:
        logits = model.logits(model(FRAMES))
    logits.square().sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return logits.detach(), gradients, sum(kept.values())


@pytest.mark.parametrize("head", ["linear", "plain"])
def test_answers_are_the_same_to_the_last_bit_and_gradients_but_for_rounding(head: str) -> None:
    model = small_model(head)
    let_learn(model, "bias")
    plain, lean = tried(model, lean=False), tried(model, lean=True)
    assert torch.equal(plain[0], lean[0])
    assert plain[1].keys() == lean[1].keys()
    largest = max(float(g.abs().max()) for g in plain[1].values())
    for name, gradient in plain[1].items():
        torch.testing.assert_close(lean[1][name], gradient, rtol=1e-4, atol=1e-6 * largest)


def test_biases_alone_keep_less_than_a_quarter_of_what_the_whole_network_keeps() -> None:
    model = small_model()
    let_learn(model, "all")
    whole = tried(model, lean=False)[2]
    let_learn(model, "bias")
    assert tried(model, lean=True)[2] < whole / 4
    assert tried(model, lean=False)[2] > whole / 2  # without it little would be won


def test_a_chain_keeps_a_byte_a_value_and_a_scale_a_channel() -> None:
    chain = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
        nn.Conv2d(8, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True),
    ).eval()  # fmt: skip
    for name, parameter in chain.named_parameters():
        parameter.requires_grad_(name.endswith("bias"))
    with Lean(), counted(chain) as kept:
        chain(torch.rand(2, 3, 10, 10))
    assert sum(kept.values()) == 2 * 10 * 10 * (8 + 4) + 4 * (8 + 4)


def test_what_learns_is_computed_as_ever() -> None:
    model = small_model()
    let_learn(model, "all")
    plain, lean = tried(model, lean=False), tried(model, lean=True)
    convolutions = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d)]
    assert all(f"{name}.weight" in lean[1] for name in convolutions)
    torch.testing.assert_close(lean[1]["head.from16.0.weight"], plain[1]["head.from16.0.weight"])


@pytest.mark.parametrize(
    ("stride", "padding", "groups", "bias"), [(1, 1, 1, True), (2, 1, 4, False), ((2, 1), (0, 2), 2, True)]
)
def test_a_frozen_convolution_passes_on_the_gradient_that_autograd_finds(
    stride: int | tuple[int, int], padding: int | tuple[int, int], groups: int, bias: bool
) -> None:
    conv = nn.Conv2d(4, 8, 3, stride, padding, groups=groups, bias=bias).double()
    conv.weight.requires_grad_(False)
    found = []
    for context in (nullcontext(), Lean()):
        x = torch.rand(2, 4, 9, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        x.requires_grad_(True)
        conv.zero_grad()
        with context:
            made = conv(x)
        (made * torch.arange(made.numel()).view_as(made)).sum().backward()
        found.append((made.detach(), x.grad, conv.bias.grad.clone() if conv.bias is not None else None))
    torch.testing.assert_close(found[0], found[1])


def test_without_gradients_nothing_is_different() -> None:
    model = small_model().requires_grad_(False)
    with torch.no_grad():
        plain = model(FRAMES)
        with Lean():
            assert torch.equal(model(FRAMES), plain)
