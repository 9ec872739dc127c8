"""Mixup-CAM's losses: bounds, worked examples, and invariances on maps that are not square."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgecam_training.mixup_cam import class_entropy, concentration

shapes = st.tuples(st.integers(1, 3), st.integers(2, 6), st.integers(1, 6), st.integers(1, 7))
numbers = st.integers(0, 2**32)


def maps(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 3


@settings(deadline=None, max_examples=60)
@given(shape=shapes, seed=numbers, strength=st.floats(0, 1e4))
def test_entropy_lies_within_zero_and_that_of_chance(
    shape: tuple[int, ...], seed: int, strength: float
) -> None:
    entropy = class_entropy(maps(shape, seed) * strength)
    assert entropy.shape == shape[:1]
    assert float(entropy.min()) >= 0
    assert float(entropy.max()) <= math.log(shape[1]) + 1e-5


def test_entropy_is_that_of_chance_for_equal_maps_and_nothing_for_certain_ones() -> None:
    torch.testing.assert_close(class_entropy(torch.full((2, 5, 3, 4), 7.0)), torch.full((2,), math.log(5)))
    certain = torch.zeros(1, 5, 3, 4)
    certain[:, 2] = 1000
    assert class_entropy(certain).tolist() == [0.0]


def test_entropy_worked_out_by_hand() -> None:
    # One cell of shares 1/4 and 3/4 and one of a half each.
    cams = torch.tensor([[[[0.0, 1.0]], [[math.log(3), 1.0]]]])
    first = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    torch.testing.assert_close(class_entropy(cams), torch.tensor([(first + math.log(2)) / 2]))


def test_entropy_teaches_every_cell_to_be_surer() -> None:
    cams = maps((2, 4, 3, 5)).requires_grad_()
    entropy = class_entropy(cams)
    (gradient,) = torch.autograd.grad(entropy.sum(), cams)
    assert gradient.abs().sum(dim=1).all()
    assert (class_entropy(cams - 5 * gradient) < entropy).all()


@settings(deadline=None, max_examples=40)
@given(h=st.integers(1, 7), w=st.integers(1, 7), seed=numbers)
def test_a_point_is_concentrated_wherever_it_lies(h: int, w: int, seed: int) -> None:
    spot = int(torch.randint(h * w, (), generator=torch.Generator().manual_seed(seed)))
    cams = torch.full((1, 1, h * w), -2.0)
    cams[0, 0, spot] = 9.0
    assert float(concentration(cams.reshape(1, 1, h, w), torch.ones(1, 1))) == pytest.approx(0, abs=1e-6)


def test_concentration_worked_out_by_hand() -> None:
    # Cells of a row of four lie at -3/4, -1/4, 1/4, 3/4. Masses 1 and 3 at both ends: the centre is at 3/8.
    cams = torch.tensor([1.0, 0.0, -5.0, 3.0]).reshape(1, 1, 1, 4)
    expected = 0.25 * (9 / 8) ** 2 + 0.75 * (3 / 8) ** 2
    torch.testing.assert_close(concentration(cams, torch.ones(1, 1)), torch.tensor([expected]))


@settings(deadline=None, max_examples=40)
@given(down=st.integers(0, 5), right=st.integers(0, 7), seed=numbers)
def test_concentration_does_not_care_where_a_thing_is(down: int, right: int, seed: int) -> None:
    thing = maps((2, 3, 3, 4), seed).abs()
    shares = torch.tensor([[0.3, 0.7, 0.0], [1.0, 0.0, 0.0]])

    def at(top: int, left: int) -> Tensor:
        cams = torch.zeros(2, 3, 8, 11)
        cams[:, :, top : top + 3, left : left + 4] = thing
        return concentration(cams, shares)

    torch.testing.assert_close(at(down, right), at(0, 0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("factor", [2, 3])
def test_a_thing_spread_twice_as_wide_costs_four_times_as_much(factor: int) -> None:
    spots = ((0, 1, 5.0), (2, 0, 1.0), (1, 3, 2.0))

    def spread(step: int) -> float:
        cams = torch.zeros(1, 1, 9, 13)
        for y, x, mass in spots:
            cams[0, 0, y * step, x * step] = mass
        return float(concentration(cams, torch.ones(1, 1)))

    assert spread(factor) == pytest.approx(factor**2 * spread(1), rel=1e-4)


@pytest.mark.parametrize("cells", [1, 3])
def test_the_scale_does_not_depend_on_the_number_of_cells(cells: int) -> None:
    halves = torch.tensor([[1.0, 1.0], [0.0, 0.0]]).repeat_interleave(20 * cells, 0)
    halves = halves.repeat_interleave(30 * cells, 1)[None, None]
    # The upper half of [-1, 1] x [-1, 1]: variances 1/12 of 1 squared and of 2 squared.
    assert float(concentration(halves, torch.ones(1, 1))) == pytest.approx(1 / 12 + 4 / 12, rel=1e-2)


def test_each_class_counts_with_its_share_and_an_absent_one_not_at_all() -> None:
    cams = maps((1, 3, 4, 6))
    alone = [concentration(cams, torch.eye(3)[k : k + 1]) for k in range(3)]
    both = concentration(cams, torch.tensor([[0.3, 0.0, 0.7]]))
    torch.testing.assert_close(both, 0.3 * alone[0] + 0.7 * alone[2])
    leaf = cams.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(concentration(leaf, torch.tensor([[0.3, 0.0, 0.7]])).sum(), leaf)
    assert not gradient[0, 1].any()
    assert gradient[0, 0].any()
    assert gradient[0, 2].any()


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_a_map_that_shows_nothing_costs_nothing_and_is_no_nan(value: float) -> None:
    cams = torch.full((1, 2, 3, 4), value, requires_grad=True)
    loss = concentration(cams, torch.ones(1, 2))
    (gradient,) = torch.autograd.grad(loss.sum(), cams)
    assert loss.tolist() == [0.0]
    assert gradient.isfinite().all()
