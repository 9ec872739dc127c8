"""Weights on their grids: what each rounding promises, on small matrices."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecam_calibration.quantization.graph import Conv
from edgecam_calibration.quantization.moments import Moments, draw_patches
from edgecam_calibration.quantization.rounding import BLOCK, round_to_outputs
from edgecam_calibration.quantization.weights import ROUNDINGS, by_outputs, nearest, nearest_with_mean

CONV = Conv("c", "x", "y", "w", "b", 1, (1, 1), (0, 0, 0, 0))


def inputs(k: int, samples: int = 400, *, groups: int = 1, seed: int = 0) -> NDArray[np.float32]:
    """Neighbouring pixels: a brightness they share, and a little of their own."""
    rng = np.random.default_rng(seed)
    own, shared = rng.normal(size=(groups, samples, k)), rng.normal(size=(groups, samples, 1))
    return (3 + 2 * shared + 0.2 * own).astype(np.float32)


def seen(patches: NDArray[np.float32]) -> Moments:
    groups, _, k = patches.shape
    moments = Moments(0, np.zeros((groups, k)), np.zeros((groups, k, k)))
    for half in np.array_split(patches, 2, axis=1):
        moments.add(half)
    return moments


def weights(o: int, i: int, kernel: int = 3, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(o, i, kernel, kernel)).astype(np.float32)


@pytest.mark.parametrize("name", ROUNDINGS)
@pytest.mark.parametrize("most", [64, 127])
@pytest.mark.parametrize("depthwise", [False, True])
def test_every_rounding_ends_on_the_grid_it_names(name: str, most: int, depthwise: bool) -> None:
    weight = weights(6, 1 if depthwise else 4)
    given = inputs(9, groups=6) if depthwise else inputs(36)
    found = ROUNDINGS[name](weight, seen(given), most)
    steps = found.weight / found.step[:, None, None, None]
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
    assert np.abs(steps).max() <= most + 1e-3
    assert found.weight.shape == weight.shape
    assert found.step.shape == found.bias_shift.shape == (6,)
    assert np.abs(found.weight - weight).max() < 0.5


def test_nearest_by_hand() -> None:
    weight = np.array([[12.7, 0.04, -0.06]], np.float32).reshape(1, 3, 1, 1)
    found = nearest(weight, seen(inputs(3)), 127)
    np.testing.assert_allclose(found.weight.ravel(), [12.7, 0.0, -0.1], atol=1e-6)
    assert found.step[0] == pytest.approx(0.1)
    assert not found.bias_shift.any()


def test_the_bias_makes_good_what_the_mean_answer_lost() -> None:
    """Shifted by the weights' error times the mean input; the mean over the inputs is as it was."""
    weight, given = weights(5, 4), inputs(36)
    found = nearest_with_mean(weight, seen(given), 15)
    before = given[0] @ weight.reshape(5, -1).T
    after = given[0] @ found.weight.reshape(5, -1).T + found.bias_shift
    assert np.abs((given[0] @ (found.weight - weight).reshape(5, -1).T).mean(axis=0)).max() > 0.05
    np.testing.assert_allclose(after.mean(axis=0), before.mean(axis=0), atol=1e-4)


@pytest.mark.parametrize("depthwise", [False, True])
def test_answers_vary_less_wrongly_than_after_rounding_to_the_nearest(depthwise: bool) -> None:
    weight = weights(8, 1 if depthwise else 16)
    given = inputs(9, groups=8) if depthwise else inputs(144, 2000)
    moments = seen(given)

    def error(rounded: NDArray[np.float32]) -> float:
        rows = (rounded - weight).reshape(len(moments.total), -1, moments.total.shape[1]).astype(float)
        return float(np.einsum("grk,gkl,grl->", rows, moments.covariance, rows))

    assert error(by_outputs(weight, moments, 127).weight) < 0.25 * error(nearest(weight, moments, 127).weight)


def test_inputs_that_do_not_vary_together_are_rounded_to_the_nearest() -> None:
    """Then no weight can make good another's error."""
    weight = np.random.default_rng(0).normal(size=(1, 3, 7))
    step = np.full((1, 3), 0.05)
    rounded = round_to_outputs(weight, np.diag(np.arange(1.0, 8.0))[None], step, most=127)
    np.testing.assert_allclose(rounded, np.rint(weight / 0.05) * 0.05)


@pytest.mark.parametrize("noise", [1e-3, 1.0, 1e3])
def test_a_covariance_that_cancelled_to_below_zero_is_taken_for_none(noise: float) -> None:
    """A whole network can hardly answer at all; then sums of squares less squared sums are noise."""
    vectors = np.linalg.qr(np.random.default_rng(4).normal(size=(6, 6)))[0]
    covariance = (vectors * (np.array([4.0, 1, 0, 0, -1, -3]) * noise)) @ vectors.T
    weight, step = np.random.default_rng(5).normal(size=(1, 3, 6)), np.full((1, 3), 0.05)
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.cholesky(np.linalg.inv(covariance))
    steps = round_to_outputs(weight, covariance[None], step, most=127) / 0.05
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)
    assert np.abs(steps).max() <= 127


def test_blocks_change_nothing() -> None:
    """More inputs than a block has, against the same recursion written plainly for one row."""
    k = BLOCK + 30
    given = inputs(k, 3000)
    covariance = seen(given).covariance
    weight, step = np.random.default_rng(3).normal(size=(1, 1, k)), np.full((1, 1), 0.03)
    rounded = round_to_outputs(weight, covariance, step, most=127)[0, 0]
    np.testing.assert_allclose(rounded, plainly(weight[0, 0], covariance[0], 0.03), atol=1e-9)


def plainly(row: NDArray[np.float64], covariance: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Optimal brain surgery, one weight at a time: every step inverts what is left of the matrix anew."""
    left, out = row.copy(), np.empty_like(row)
    damped = covariance + np.eye(len(row)) * (0.01 * np.trace(covariance) / len(row) + 1e-12)
    order = np.argsort(-np.diag(covariance))
    for place, j in enumerate(order):
        rest = order[place:]
        inverse = np.linalg.inv(damped[np.ix_(rest, rest)])
        out[j] = np.rint(left[j] / step) * step
        left[rest] -= (left[j] - out[j]) / inverse[0, 0] * inverse[:, 0]
    return out


# -- what a kernel sees


@pytest.mark.parametrize("group", [1, 3])
def test_patches_are_what_the_convolution_multiplies(group: int) -> None:
    """A patch drawn somewhere gives an answer that the convolution gives somewhere (padding and stride)."""
    rng = np.random.default_rng(0)
    picture = rng.normal(size=(1, 3, 6, 7)).astype(np.float32)
    conv = CONV._replace(group=group, strides=(2, 1), pads=(1, 0, 1, 2))
    weight = rng.normal(size=(3, 3 // group, 3, 3)).astype(np.float32)
    patches = draw_patches(picture, conv, (3, 3), 50, rng)
    answers = np.einsum("gsk,grk->gs", patches, weight.reshape(group, 3 // group, -1)[:, :1])
    wanted = np.asarray(by_torch(picture, weight, conv))
    for g in range(group):
        channel = wanted[0, g * (3 // group)]
        assert np.abs(answers[g][:, None] - channel.ravel()).min(axis=1).max() < 1e-4


def by_torch(picture: NDArray[np.float32], weight: NDArray[np.float32], conv: Conv) -> NDArray[np.float32]:
    import torch
    from torch.nn import functional

    top, left, bottom, right = conv.pads
    padded = functional.pad(torch.from_numpy(picture), (left, right, top, bottom))
    return functional.conv2d(padded, torch.from_numpy(weight), stride=conv.strides, groups=conv.group).numpy()


def test_moments_are_numpys_own_and_scale_with_the_channels() -> None:
    patches = inputs(6, 500)
    moments = seen(patches)
    np.testing.assert_allclose(moments.mean[0], patches[0].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(moments.covariance[0], np.cov(patches[0].T, bias=True), rtol=1e-3, atol=1e-4)
    scale = np.array([2.0, 0.5, 1.0])  # three channels of two places each
    scaled = seen(patches * np.repeat(scale, 2).astype(np.float32))
    np.testing.assert_allclose(moments.scaled(scale).covariance, scaled.covariance, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(moments.scaled(scale).mean, scaled.mean, rtol=1e-5)
