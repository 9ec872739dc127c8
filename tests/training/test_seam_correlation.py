"""PCM: weighted means over alike pixels, the same in both forms, and no way back into the network."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgecam_training.seam.correlation import (
    PixelCorrelation,
    seeds,
    spread_by_pairs,
    spread_linearly,
)

Spread = Callable[[Tensor, Tensor], Tensor]

sizes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 6), st.integers(1, 7))
numbers = st.integers(0, 2**32)
both_forms = pytest.mark.parametrize("spread", [spread_by_pairs, spread_linearly])


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def columns(features: Tensor) -> Tensor:
    """The weights behind spread_by_pairs, read off by spreading one pixel at a time, (n, from, to)."""
    n, _, h, w = features.shape
    return spread_by_pairs(torch.eye(h * w).reshape(h * w, h, w).expand(n, -1, -1, -1), features).flatten(2)


@settings(deadline=None, max_examples=40)
@given(size=sizes, seed=numbers)
def test_columns_are_weights_that_sum_to_one(size: tuple[int, int, int, int], seed: int) -> None:
    n, _, h, w = size
    for features in (noise(n, 8, h, w, seed=seed), torch.zeros(n, 8, h, w)):
        weights = columns(features)
        assert float(weights.min()) >= 0
        assert float(weights.sum(dim=1).max()) <= 1 + 1e-6
    torch.testing.assert_close(
        columns(noise(n, 8, h, w, seed=seed)).sum(dim=1), torch.ones(n, h * w), atol=1e-4, rtol=0
    )


def test_pairs_worked_out_by_hand() -> None:
    # Three pixels: the second looks a little like the first (cosine 0.6), the third like its opposite.
    features = torch.tensor([[1.0, 3.0, -1.0], [0.0, 4.0, 0.0]]).reshape(1, 2, 1, 3)
    spread = spread_by_pairs(torch.tensor([1.0, 0.0, 5.0]).reshape(1, 1, 1, 3), features)
    torch.testing.assert_close(spread.flatten(), torch.tensor([1 / 1.6, 0.6 / 1.6, 5.0]), atol=1e-4, rtol=0)


@both_forms
@settings(deadline=None, max_examples=30)
@given(size=sizes, seed=numbers)
def test_a_constant_map_is_preserved(spread: Spread, size: tuple[int, int, int, int], seed: int) -> None:
    n, c, h, w = size
    features = noise(n, 16, h, w, seed=seed).abs() + 0.01
    constant = torch.arange(1.0, c + 1)[None, :, None, None].expand(n, c, h, w)
    torch.testing.assert_close(spread(constant, features), constant, atol=1e-3, rtol=1e-4)


@both_forms
def test_identical_features_make_every_pixel_the_mean(spread: Spread) -> None:
    maps = noise(2, 3, 4, 7).abs()
    features = (noise(2, 8, 1, 1, seed=1).abs() + 0.1).expand(2, 8, 4, 7) * 5
    mean = maps.mean(dim=(2, 3), keepdim=True).expand_as(maps)
    torch.testing.assert_close(spread(maps, features), mean, atol=1e-5, rtol=1e-4)


@both_forms
def test_pixels_that_look_unlike_keep_to_themselves(spread: Spread) -> None:
    left = torch.tensor([1.0, 0.0])[:, None, None].expand(2, 3, 2)
    right = torch.tensor([0.0, 1.0])[:, None, None].expand(2, 3, 2)
    features = torch.cat([left, right], dim=2)[None]  # (1, 2, 3, 4): two halves
    maps = noise(1, 1, 3, 4).abs()
    spread_maps = spread(maps, features)
    torch.testing.assert_close(
        spread_maps[..., :2], maps[..., :2].mean().expand(1, 1, 3, 2), rtol=1e-4, atol=0
    )
    torch.testing.assert_close(
        spread_maps[..., 2:], maps[..., 2:].mean().expand(1, 1, 3, 2), rtol=1e-4, atol=0
    )


@settings(deadline=None, max_examples=40)
@given(size=sizes, seed=numbers)
def test_the_linear_form_is_the_form_by_pairs_of_the_positive_features(
    size: tuple[int, int, int, int], seed: int
) -> None:
    n, c, h, w = size
    maps, features = noise(n, c, h, w, seed=seed).abs(), noise(n, 16, h, w, seed=seed + 1)
    torch.testing.assert_close(
        spread_linearly(maps, features), spread_by_pairs(maps, F.relu(features)), atol=1e-5, rtol=1e-4
    )


@both_forms
def test_pixels_without_features_are_finite_and_so_are_their_gradients(spread: Spread) -> None:
    features = noise(1, 8, 3, 4)
    features[..., 0] = 0
    features[..., 1] = -1  # all dead once rectified
    features.requires_grad_()
    spread_maps = spread(noise(1, 2, 3, 4).abs(), features)
    (gradient,) = torch.autograd.grad(spread_maps.sum(), features)
    assert spread_maps.isfinite().all()
    assert gradient.isfinite().all()


def test_seeds_worked_out_by_hand() -> None:
    cams = torch.tensor([[[[2.0, 1.0, -3.0]], [[1.0, 4.0, 0.0]], [[9.0, 9.0, 9.0]]]])
    # Each by its maximum: 1, .5, 0 and .25, 1, 0. The third class is absent, however strong.
    expected = torch.tensor([[[[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]]])
    made = seeds(cams.requires_grad_(), torch.tensor([[1.0, 1.0, 0.0]]))
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)
    assert not made.requires_grad


@pytest.mark.parametrize("linear", [False, True])
def test_the_module_alone_learns_from_what_it_makes(linear: bool) -> None:
    torch.manual_seed(0)
    pcm = PixelCorrelation((5, 7), linear=linear)
    cams = noise(2, 3, 4, 6).requires_grad_()
    taps = noise(2, 5, 4, 6, seed=1).requires_grad_(), noise(2, 7, 2, 3, seed=2).requires_grad_()
    frames = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    present = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    refined = pcm(cams, present, frames, taps)
    assert refined.shape == (2, 4, 4, 6)
    assert refined.min().item() >= 0
    assert refined.max().item() <= 1 + 1e-5
    assert not refined[:, 1:][present == 0].any()
    refined.square().sum().backward()
    assert cams.grad is None
    assert taps[0].grad is taps[1].grad is None
    assert all(p.grad is not None and p.grad.any() for p in pcm.parameters())


@pytest.mark.parametrize("linear", [False, True])
def test_under_autocast_the_module_still_counts_in_single_precision(linear: bool) -> None:
    torch.manual_seed(0)
    pcm = PixelCorrelation((5, 7), linear=linear)
    frames = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    given_ = noise(1, 3, 4, 6), torch.ones(1, 3), frames, (noise(1, 5, 4, 6), noise(1, 7, 2, 3))
    plain = pcm(*given_)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(pcm(*given_), plain)


def test_the_features_see_both_backbone_maps_and_the_picture() -> None:
    torch.manual_seed(0)
    pcm = PixelCorrelation((5, 7), linear=False)
    frames = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    f16, f32 = noise(1, 5, 4, 6), noise(1, 7, 2, 3)
    base = pcm.features(frames, f16, f32)
    assert base.shape == (1, 192, 4, 6)
    for changed in ((255 - frames, f16, f32), (frames, -f16, f32), (frames, f16, -f32)):
        assert not torch.allclose(pcm.features(*changed), base)
