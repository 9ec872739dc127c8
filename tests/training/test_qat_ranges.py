"""Ranges: what they learn, what they follow, and what never moves."""

import math

import pytest
import torch
from torch import Tensor

from edgecam_training.qat.ranges import Grid, Ranges


def make(how: str, grid: Grid, *, signed: bool = True) -> Ranges:
    return Ranges({"x": grid}, signed=signed, pinned=None, how=how).train()


def error(x: Tensor, scale: float) -> float:
    y = torch.fake_quantize_per_tensor_affine(x, scale, 0, -128, 127)
    return float((x - y).square().mean())


@pytest.mark.parametrize("start", [0.2, 0.003])
def test_a_learned_scale_comes_to_where_rounding_costs_least(start: float) -> None:
    """On normal values: the best scale is found by trying them all."""
    x = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    best = min((error(x, s), s) for s in torch.linspace(0.005, 0.1, 200).tolist())[1]
    ranges = make("learned", Grid(start, 0))
    optimizer = torch.optim.Adam(ranges.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        (ranges("x", x) - x).square().mean().backward()
        optimizer.step()
    assert error(x, ranges.grids()["x"].scale) < 1.25 * error(x, best)


def test_a_learned_zero_point_finds_a_shifted_distribution() -> None:
    x = torch.randn(4000, generator=torch.Generator().manual_seed(0)) + 2
    ranges = make("learned", Grid(8 / 255, 128), signed=False)
    optimizer = torch.optim.Adam(ranges.parameters(), lr=0.01)

    def loss() -> Tensor:
        return (ranges("x", x) - x).square().mean()

    before = loss().item()
    for _ in range(300):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < 0.3 * before
    assert ranges.grids()["x"].zero_point < 100  # more room above zero than below


def test_a_moving_average_comes_to_the_largest_magnitude() -> None:
    ranges = make("average", Grid(1.0, 0))
    for _ in range(1000):
        ranges("x", torch.tensor([-2.0, 1.0]))
    assert ranges.grids()["x"].scale == pytest.approx(2 / 127, rel=0.01)


def test_a_moving_average_comes_to_both_ends_of_an_unsigned_range() -> None:
    ranges = make("average", Grid(1.0, 10), signed=False)
    for _ in range(1500):
        ranges("x", torch.tensor([-1.0, 4.1]))
    scale, zero_point = ranges.grids()["x"]
    assert scale == pytest.approx(5.1 / 255, rel=0.01)
    assert zero_point == 50


def test_a_moving_average_stands_still_in_evaluation() -> None:
    ranges = make("average", Grid(0.5, 0)).eval()
    ranges("x", torch.tensor([1000.0]))
    assert ranges.grids()["x"].scale == pytest.approx(0.5)


def test_an_unsigned_range_from_zero_up_stays_there() -> None:
    ranges = make("learned", Grid(6 / 255, 0), signed=False)
    ranges("x", torch.tensor([-3.0, 7.0])).sum().backward()
    assert ranges.zero.grad is None or ranges.zero.grad.abs().sum() == 0
    assert ranges.log_scale.grad is not None
    # d/ds of the clipped 7 is 255; by the logarithm, times s
    assert ranges.log_scale.grad.item() == pytest.approx(255 * 6 / 255, rel=1e-4)
    assert math.isclose(ranges.grids()["x"].scale, 6 / 255, rel_tol=1e-6)
