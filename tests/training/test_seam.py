"""SEAM's rescale branch: what costs nothing, what costs how much, and where gradients stop."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from edgecam_training.seam import (
    cross_loss,
    equivariance_loss,
    hardened,
    normalised,
    present_classes,
    rescale_losses,
    shrink,
    statistics_kept,
    with_background,
)

shapes = st.tuples(st.integers(1, 3), st.integers(2, 4), st.integers(2, 6), st.integers(2, 7))
seeds = st.integers(0, 2**32)


def maps(shape: tuple[int, ...], seed: int = 0, scale: float = 3.0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


def all_present(cams: Tensor) -> Tensor:
    return torch.ones(cams.shape[:2])


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


@pytest.mark.parametrize("value", [-2.0, 0.0, 7.0])
def test_a_constant_map_costs_no_equivariance(value: float) -> None:
    large, small = torch.full((2, 3, 8, 12), value), torch.full((2, 3, 4, 6), value)
    er, _ = rescale_losses(large, small, all_present(large))
    assert er.tolist() == [0.0, 0.0]


@settings(deadline=None, max_examples=30)
@given(shape=shapes, seed=seeds, factor=st.floats(0.5, 20))
def test_equal_maps_cost_no_equivariance_even_at_another_strength(
    shape: tuple[int, ...], seed: int, factor: float
) -> None:
    cams = maps(shape, seed)
    er, _ = rescale_losses(cams, cams * factor, all_present(cams))
    torch.testing.assert_close(er, torch.zeros(shape[0]), atol=1e-3, rtol=0)


def test_the_equivariance_loss_worked_out_by_hand() -> None:
    large = torch.tensor([[[[0.0, 1.0]], [[0.5, 0.5]], [[9.0, 9.0]]]])
    small = torch.tensor([[[[0.5, 0.0]], [[0.5, 0.0]], [[0.0, 0.0]]]])
    # Means of the two classes present: 0.75 and 0.25. The third is absent, whatever it holds.
    loss = equivariance_loss(large, small, torch.tensor([[1.0, 1.0, 0.0]]))
    assert loss.tolist() == [0.5]


def test_maps_that_are_already_right_cost_no_cross_loss() -> None:
    certain = torch.zeros(1, 3, 2, 2)
    certain[0, 0, 0], certain[0, 2, 1] = 1, 1  # background above, class two below
    assert cross_loss(certain, certain).tolist() == [0.0]


def test_hardening_keeps_the_strongest_of_each_pixel_and_its_value() -> None:
    scores = torch.tensor([[[[0.1, 0.9]], [[0.7, 0.2]]]])
    assert hardened(scores).tolist() == torch.tensor([[[[0.0, 0.9]], [[0.7, 0.0]]]]).tolist()


def test_hardening_does_not_write_to_the_maps() -> None:
    scores = maps((1, 3, 4, 4))
    before = scores.clone()
    hardened(scores)
    assert torch.equal(scores, before)


def test_no_gradient_flows_through_the_hardened_targets() -> None:
    large = maps((2, 4, 3, 5), 0).requires_grad_()
    small = maps((2, 4, 3, 5), 1).requires_grad_()
    assert not hardened(large).requires_grad
    # With the targets held fixed as numbers, value and gradient must be the same.
    fixed_large, fixed_small = hardened(large).clone(), hardened(small).clone()
    k = int(0.2 * 4 * 3 * 5)

    def hardest(errors: Tensor) -> Tensor:
        return errors.flatten(1).sort(dim=1, descending=True).values[:, :k].mean(dim=1)

    expected = hardest((fixed_small - large).abs()) + hardest((fixed_large - small).abs())
    loss = cross_loss(large, small)
    torch.testing.assert_close(loss, expected)
    ours = torch.autograd.grad(loss.sum(), (large, small))
    theirs = torch.autograd.grad(expected.sum(), (large, small))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("shape", "k"), [((1, 21, 8, 8), 268), ((1, 3, 4, 5), 12), ((1, 2, 1, 1), 1)])
def test_the_cross_loss_is_the_mean_of_a_fifth_of_all_entries(shape: tuple[int, ...], k: int) -> None:
    large, small = maps(shape, 0).requires_grad_(), maps(shape, 1)
    (gradient,) = torch.autograd.grad(cross_loss(large, small).sum(), large)
    touched = gradient[gradient != 0].abs()
    assert len(touched) == k  # only the hardest entries learn
    torch.testing.assert_close(touched, torch.full_like(touched, 1 / k))


def test_an_absent_class_contributes_nothing_whatever_its_map() -> None:
    large, small = maps((2, 4, 8, 8), 0), maps((2, 4, 4, 4), 1)
    present = present_classes(torch.tensor([0, 3]), torch.tensor([2, 3]), 4)
    plain = rescale_losses(large, small, present)
    absent = (1 - present)[:, :, None, None]
    wild = rescale_losses(large + absent * maps(large.shape, 5, 1e3), small + absent * 77 * small, present)
    torch.testing.assert_close(wild, plain)
    leaf = large.clone().requires_grad_()
    er, ecr = rescale_losses(leaf, small, present)
    (gradient,) = torch.autograd.grad((er + ecr).sum(), leaf)
    assert not gradient[present == 0].any()
    assert all(gradient[i, k].any() for i, k in present.nonzero().tolist())


def test_both_branches_learn_from_the_rescale_losses() -> None:
    large, small = maps((2, 3, 8, 10), 0).requires_grad_(), maps((2, 3, 4, 5), 1).requires_grad_()
    for loss in rescale_losses(large, small, torch.ones(2, 3)):
        assert loss.shape == (2,)
        assert (loss > 0).all()
        gradients = torch.autograd.grad(loss.sum(), (large, small), retain_graph=True)
        assert all(gradient.any() and gradient.isfinite().all() for gradient in gradients)


def test_a_mixed_picture_holds_both_of_its_classes() -> None:
    present = present_classes(torch.tensor([0, 2]), torch.tensor([1, 2]), 4)
    assert present.tolist() == [[1, 1, 0, 0], [0, 0, 1, 0]]


def test_statistics_are_kept_inside_and_move_again_outside() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    x = maps((4, 3, 5, 5), scale=9.0)
    by_batch = net(x)
    before = [buffer.clone() for buffer in net.buffers()]
    with statistics_kept(net):
        torch.testing.assert_close(net(2 * x), by_batch, atol=0.05, rtol=0.05)  # normalised by its own batch
    assert all(torch.equal(a, b) for a, b in zip(before, net.buffers(), strict=True))
    net(2 * x)
    assert not any(torch.equal(a, b) for a, b in zip(before, net.buffers(), strict=True))
    with torch.no_grad():
        judged = net.eval()(x)
        with statistics_kept(net):  # what is frozen goes on using its statistics
            assert torch.equal(net(x), judged)


def test_shrinking_keeps_colours_and_places() -> None:
    frames = torch.zeros(2, 64, 96, 3, dtype=torch.uint8)
    frames[0, :32, :48] = torch.tensor([10, 100, 200], dtype=torch.uint8)
    small = shrink(frames, (32, 64))
    assert small.shape == (2, 32, 64, 3)
    assert small.dtype == torch.uint8
    assert small[0, 0, 0].tolist() == [10, 100, 200]
    assert small[0, 15, 31].tolist() == [10, 100, 200]
    assert not small[0, 17:].any()
    assert not small[1].any()


def test_shrinking_is_the_linear_interpolation_of_the_camera() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    ours = shrink(torch.from_numpy(frame)[None], (32, 64))[0].numpy().astype(int)
    theirs = cv2.resize(frame, (64, 32), interpolation=cv2.INTER_LINEAR).astype(int)
    assert abs(ours - theirs).max() <= 1  # OpenCV rounds its weights
