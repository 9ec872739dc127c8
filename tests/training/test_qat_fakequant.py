"""Rounding and its gradients, by hand and against torch's own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from edgecam_training.qat.fakequant import (
    fake_bias,
    fake_quantize,
    fake_weight,
    room_for_bias,
    weight_scale,
)


def rounded(
    x: list[float], scale: float, zero: float, low: int, high: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    leaves = torch.tensor(x), torch.tensor(scale), torch.tensor(zero)
    for leaf in leaves:
        leaf.requires_grad_(True)
    y = fake_quantize(*leaves, low, high)
    (y * torch.arange(1.0, len(x) + 1)).sum().backward()  # each place has a gradient of its own
    return y, *(leaf.grad if leaf.grad is not None else torch.zeros(1) for leaf in leaves)


def test_values_and_gradients_by_hand() -> None:
    """Scale 0.5, zero point 2, 0..7: the range is -1 to 2.5.

    0.3 -> 0.5 (one step; 0.6 of one lies behind it), -4 -> -1, 9 -> 2.5, with gradients 1, 2, 3.
    By scale: 1 * (1 - 0.6) + 2 * (-2) + 3 * 5 = 11.4. By zero point: (2 + 3) * -0.5 = -2.5.
    """
    y, by_x, by_scale, by_zero = rounded([0.3, -4.0, 9.0], 0.5, 2.0, 0, 7)
    assert y.tolist() == [0.5, -1.0, 2.5]
    assert by_x.tolist() == [1.0, 0.0, 0.0]
    assert by_scale.item() == pytest.approx(11.4, rel=1e-5)
    assert by_zero.item() == pytest.approx(-2.5)


@given(st.floats(1e-3, 10), st.integers(0, 255), st.integers(0, 1000))
def test_values_are_those_of_torch(scale: float, zero: int, seed: int) -> None:
    x = torch.randn(200, generator=torch.Generator().manual_seed(seed)) * 100 * scale
    ours = fake_quantize(x, torch.tensor(scale), torch.tensor(float(zero)), 0, 255)
    theirs = torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, 255)
    # One divides by the scale and the other multiplies by its inverse: a tie may go either way.
    assert ((ours - theirs).abs() > 1e-5 * scale).sum() <= 1


def test_a_gradient_by_scale_is_the_same_wherever_channels_lie_in_memory() -> None:
    x = torch.randn(2, 5, 4, 6)
    found = []
    for memory in (torch.contiguous_format, torch.channels_last):
        scale = torch.tensor(0.1, requires_grad=True)
        y = fake_quantize(x.to(memory_format=memory), scale, torch.tensor(0.0), -8, 7)
        (y * torch.linspace(-1, 1, 240).view(2, 5, 4, 6)).sum().backward()
        assert scale.grad is not None
        found.append(scale.grad.item())
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_a_weights_scale_reaches_to_its_largest_magnitude() -> None:
    weight = torch.tensor([[1.0, -2.54], [0.0, 0.0]])
    assert torch.allclose(weight_scale(weight, 127), torch.tensor([0.02, 1.0]))
    assert torch.allclose(fake_weight(weight, weight_scale(weight, 127)), weight, atol=1e-6)


def test_rounding_a_bias_moves_it_by_half_a_step_at_most_and_passes_its_gradient() -> None:
    bias = torch.tensor([0.24, -0.26], requires_grad=True)
    y = fake_bias(bias, torch.tensor([0.1, 0.1]))
    (y * torch.tensor([3.0, 5.0])).sum().backward()
    assert torch.allclose(y, torch.tensor([0.2, -0.3]))
    assert bias.grad is not None
    assert bias.grad.tolist() == [3.0, 5.0]


def test_a_weights_scale_grows_until_its_bias_fits_32_bits() -> None:
    raised = room_for_bias(torch.tensor([1e-12, 1.0]), torch.tensor([50.0, 50.0]), torch.tensor(0.01))
    assert 50 / (0.01 * raised[0].item()) < 2**31
    assert raised[1] == 1.0
