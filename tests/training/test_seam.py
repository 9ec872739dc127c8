"""SEAM's maps and losses: what costs nothing, what costs how much, and where gradients stop."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgecam_training.seam.losses import cross_loss, equivariance_loss, min_pooling_loss
from edgecam_training.seam.maps import and_background, cells, hardened, normalised, with_background

shapes = st.tuples(st.integers(1, 3), st.integers(2, 4), st.integers(2, 6), st.integers(2, 7))
seeds = st.integers(0, 2**32)


def maps(shape: tuple[int, ...], seed: int = 0, scale: float = 3.0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


# -- maps


@settings(deadline=None, max_examples=60)
@given(shape=shapes, seed=seeds, scale=st.floats(0, 1e4))
def test_normalised_maps_lie_within_zero_and_one(shape: tuple[int, ...], seed: int, scale: float) -> None:
    cams = maps(shape, seed, scale)
    present = (torch.arange(shape[1]) % 2 == 0).float().expand(shape[:2])
    scaled = normalised(cams, present)
    assert scaled.shape == cams.shape
    assert float(scaled.min()) >= 0
    assert float(scaled.max()) <= 1
    assert not scaled[:, 1::2].any()  # absent classes
    background = with_background(scaled)
    assert background.shape[1] == 1 + shape[1]
    assert float(background.min()) >= 0
    assert float(background.max()) <= 1


def test_normalising_worked_out_by_hand() -> None:
    cams = torch.tensor([[[[-4.0, 1.0], [3.0, 5.0]]]])  # the negative part counts as 0
    torch.testing.assert_close(
        normalised(cams, torch.ones(1, 1)), torch.tensor([[[[0.0, 0.2], [0.6, 1.0]]]]), atol=1e-5, rtol=0
    )


def test_background_is_in_every_picture() -> None:
    assert and_background(torch.tensor([[0.0, 1.0], [0.0, 0.0]])).tolist() == [[1, 0, 1], [1, 0, 0]]


def test_hardening_keeps_the_strongest_of_each_pixel_and_its_value() -> None:
    scores = torch.tensor([[[[0.1, 0.9]], [[0.7, 0.2]]]])
    assert hardened(scores).tolist() == torch.tensor([[[[0.0, 0.9]], [[0.7, 0.0]]]]).tolist()


def test_hardening_does_not_write_to_the_maps() -> None:
    scores = maps((1, 3, 4, 4)).requires_grad_()
    before = scores.detach().clone()
    hardened(scores)
    assert torch.equal(scores, before)


def test_only_the_cells_that_both_branches_see_are_kept_in_order() -> None:
    grid = torch.arange(6.0).reshape(1, 1, 2, 3)
    valid = torch.tensor([[True, False, True], [False, False, True]])
    assert cells(grid, valid).tolist() == [[[0.0, 2.0, 5.0]]]
    assert torch.equal(cells(grid, torch.ones(2, 3, dtype=torch.bool)), grid.flatten(2))


# -- equivariance


@settings(deadline=None, max_examples=30)
@given(shape=shapes, seed=seeds, factor=st.floats(0.5, 20))
def test_equal_maps_cost_no_equivariance_even_at_another_strength(
    shape: tuple[int, ...], seed: int, factor: float
) -> None:
    cams = maps(shape, seed)
    present = torch.ones(shape[:2])
    one, other = normalised(cams, present).flatten(2), normalised(cams * factor, present).flatten(2)
    er = equivariance_loss(one, other, present)
    torch.testing.assert_close(er, torch.zeros(shape[0]), atol=1e-3, rtol=0)


def test_the_equivariance_loss_worked_out_by_hand() -> None:
    one = torch.tensor([[[0.0, 1.0], [0.5, 0.5], [9.0, 9.0]]])
    other = torch.tensor([[[0.5, 0.0], [0.5, 0.0], [0.0, 0.0]]])
    # Means of the two classes present: 0.75 and 0.25. The third is absent, whatever it holds.
    assert equivariance_loss(one, other, torch.tensor([[1.0, 1.0, 0.0]])).tolist() == [0.5]


def test_a_picture_without_any_class_costs_nothing_and_is_no_nan() -> None:
    loss = equivariance_loss(maps((1, 3, 4)), maps((1, 3, 4), 1), torch.zeros(1, 3))
    assert loss.tolist() == [0.0]


# -- cross loss


def test_maps_that_are_already_right_cost_no_cross_loss() -> None:
    certain = torch.zeros(1, 3, 4)
    certain[0, 0, :2], certain[0, 2, 2:] = 1, 1  # background first, then class two
    assert cross_loss((certain, certain), (certain, certain)).tolist() == [0.0]


def test_each_branch_is_held_against_the_other_ones_target() -> None:
    zero, one = torch.zeros(1, 2, 3), torch.ones(1, 2, 3)
    # Crossed: the second target meets the first learner and the first target the second.
    assert cross_loss((zero, one), (one, zero), hardest=1).tolist() == [0.0]
    assert cross_loss((one, zero), (one, zero), hardest=1).tolist() == [2.0]


def test_no_gradient_flows_through_the_hardened_targets() -> None:
    targets = maps((2, 4, 15), 0).requires_grad_(), maps((2, 4, 15), 1).requires_grad_()
    learners = maps((2, 4, 15), 2).requires_grad_(), maps((2, 4, 15), 3).requires_grad_()
    assert not hardened(targets[0]).requires_grad
    loss = cross_loss(targets, learners).sum()
    gradients = torch.autograd.grad(loss, (*targets, *learners), allow_unused=True)
    assert gradients[:2] == (None, None)
    assert all(gradient is not None and gradient.any() for gradient in gradients[2:])


def test_maps_that_are_target_and_learner_at_once_learn_as_learners_alone() -> None:
    large = maps((2, 4, 15), 0).requires_grad_()
    small = maps((2, 4, 15), 1).requires_grad_()
    # With the targets held fixed as numbers, value and gradient must be the same.
    fixed_large, fixed_small = hardened(large).clone(), hardened(small).clone()
    k = int(0.2 * 4 * 15)

    def hardest(errors: Tensor) -> Tensor:
        return errors.flatten(1).sort(dim=1, descending=True).values[:, :k].mean(dim=1)

    expected = hardest((fixed_small - large).abs()) + hardest((fixed_large - small).abs())
    loss = cross_loss((large, small), (large, small))
    torch.testing.assert_close(loss, expected)
    ours = torch.autograd.grad(loss.sum(), (large, small))
    theirs = torch.autograd.grad(expected.sum(), (large, small))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("shape", "k"), [((1, 21, 64), 268), ((1, 3, 20), 12), ((1, 2, 1), 1)])
def test_the_cross_loss_is_the_mean_of_a_fifth_of_all_entries(shape: tuple[int, ...], k: int) -> None:
    large, small = maps(shape, 0).requires_grad_(), maps(shape, 1)
    loss = cross_loss((large, small), (large, small))
    (gradient,) = torch.autograd.grad(loss.sum(), large)
    touched = gradient[gradient != 0].abs()
    assert len(touched) == k  # only the hardest entries learn
    torch.testing.assert_close(touched, torch.full_like(touched, 1 / k))


# -- adaptive min-pooling


def test_min_pooling_worked_out_by_hand() -> None:
    first = torch.tensor([0.9, 0.2, 0.1, 0.5, 0.8, 0.7, 0.0, 0.6])
    second = torch.tensor([0.1, 0.3, 0.0, 0.9, 0.1, 0.1, 0.4, 0.1])
    # The strongest of each cell is .9 .3 .1 .9 .8 .7 .4 .6, the weakest quarter of them .1 and .3.
    loss = min_pooling_loss(torch.stack([first, second])[None])
    torch.testing.assert_close(loss, torch.tensor([0.2]))


@settings(deadline=None, max_examples=30)
@given(count=st.integers(1, 40), seed=seeds)
def test_min_pooling_touches_a_quarter_of_the_cells_one_class_each(count: int, seed: int) -> None:
    leaf = maps((1, 3, count), seed).abs().add(0.1).requires_grad_()
    loss = min_pooling_loss(leaf)
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    quarter = max(1, count // 4)
    assert (gradient > 0).sum() == quarter
    assert (gradient != 0).sum(dim=1).max() == 1
    assert 0 < loss.item() <= leaf.amax(dim=1).mean().item() + 1e-6


def test_a_picture_that_has_its_background_costs_no_min_pooling() -> None:
    half = torch.zeros(1, 2, 8)
    half[0, 1, :6] = 5.0
    assert min_pooling_loss(half).tolist() == [0.0]
    assert min_pooling_loss(half - 1).tolist() == [0.0]  # nor does what is negative
