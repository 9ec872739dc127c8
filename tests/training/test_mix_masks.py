"""Masks that are no boxes: HMix, GMix, FMix; and parts that are moved: ResizeMix, ContextMix."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgecam_training.mixing import MIXES
from edgecam_training.mixing.boxes import Boxes, random_boxes
from edgecam_training.mixing.contextmix import contextmix_boxes
from edgecam_training.mixing.draw import pairing
from edgecam_training.mixing.fmix import fmix_masks, landscapes
from edgecam_training.mixing.gmix import gmix_masks
from edgecam_training.mixing.hmix import hmix_masks
from edgecam_training.mixing.mixup import mixup_masks
from edgecam_training.mixing.paste import paste
from edgecam_training.mixing.resizemix import resizemix_boxes
from training.mix_kit import given_for, noise, rng_of, seeds, sizes

shares = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def tensor_of(kept: list[float]) -> torch.Tensor:
    return torch.tensor(kept, dtype=torch.float64)


@settings(deadline=None, max_examples=60)
@given(kept=shares, h=sizes, w=sizes, seed=seeds, boxed=st.floats(0, 1))
def test_hmix_keeps_exactly_the_share_that_was_drawn(
    kept: list[float], h: int, w: int, seed: int, boxed: float
) -> None:
    masks = hmix_masks(tensor_of(kept), (h, w), rng_of(seed), boxed=boxed)
    assert ((masks >= 0) & (masks <= 1 + 1e-6)).all()
    torch.testing.assert_close(masks.double().mean(dim=(1, 2)), tensor_of(kept), atol=2e-6, rtol=0)


@settings(deadline=None, max_examples=30)
@given(kept=shares, h=sizes, w=sizes, seed=seeds)
def test_hmix_without_a_box_is_mixup(kept: list[float], h: int, w: int, seed: int) -> None:
    share = tensor_of(kept)
    hmix = hmix_masks(share, (h, w), rng_of(seed), boxed=0.0)
    torch.testing.assert_close(hmix, mixup_masks(share, (h, w), rng_of(seed)))


def test_hmix_with_all_of_it_in_the_box_is_cutmix_where_nothing_is_clipped() -> None:
    masks = hmix_masks(torch.full((200,), 0.75, dtype=torch.float64), (40, 80), rng_of(0), boxed=1.0)
    whole = (masks == 0).sum(dim=(1, 2)) == 20 * 40
    assert 20 < whole.sum() < 200
    assert (masks[whole].unique() == torch.tensor([0.0, 1.0])).all()


@settings(deadline=None, max_examples=60)
@given(kept=st.floats(0.01, 0.99), h=st.integers(4, 40), w=st.integers(4, 40), seed=seeds)
def test_gmix_is_a_round_spot_about_its_extreme(kept: float, h: int, w: int, seed: int) -> None:
    (mask,) = gmix_masks(tensor_of([kept]), (h, w), rng_of(seed)).double()
    spot = mask if kept < 0.5 else 1 - mask
    area = min(kept, 1 - kept) * h * w
    assert float(spot.max()) == pytest.approx(1, abs=1e-6)
    cy, cx = divmod(int(spot.argmax()), w)
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    expected = torch.exp(-math.pi * ((y - cy) ** 2 + (x - cx) ** 2) / area)
    torch.testing.assert_close(spot, expected, atol=1e-6, rtol=0, check_dtype=False)


def test_a_spot_far_from_the_edges_covers_the_area_that_was_drawn() -> None:
    masks = gmix_masks(torch.full((300,), 0.05, dtype=torch.float64), (60, 90), rng_of(0)).double()
    assert float(masks.mean(dim=(1, 2)).max()) == pytest.approx(0.05, abs=1e-4)


@settings(deadline=None, max_examples=60)
@given(kept=shares, h=sizes, w=sizes, seed=seeds)
def test_fmix_keeps_the_drawn_number_of_pixels_rounded_up_or_down(
    kept: list[float], h: int, w: int, seed: int
) -> None:
    stays = fmix_masks(tensor_of(kept), (h, w), rng_of(seed)).sum(dim=(1, 2))
    for count, share in zip(stays.tolist(), kept, strict=True):
        assert count in {math.floor(share * h * w), math.ceil(share * h * w)}


def test_fmix_rounds_up_as_often_as_down() -> None:
    stays = fmix_masks(torch.full((400,), 0.503, dtype=torch.float64), (10, 10), rng_of(0)).sum(dim=(1, 2))
    assert 150 < int((stays == 51).sum()) < 250


def test_fmix_keeps_where_the_landscape_is_high() -> None:
    (height,) = landscapes(1, (20, 30), rng_of(5))
    (mask,) = fmix_masks(tensor_of([0.3]), (20, 30), rng_of(5))
    assert float(height[mask].min()) >= float(height[~mask].max())


@pytest.mark.parametrize("hw", [(64, 64), (48, 80), (81, 48)])
def test_a_landscape_uses_all_columns_and_rows_of_its_spectrum(hw: tuple[int, int]) -> None:
    """The public code fills two columns."""
    amplitude = torch.fft.rfft2(landscapes(50, hw, rng_of(0)).double()).abs().mean(dim=0)
    amplitude[0, 0] = 0  # the mean height has no say
    assert float(amplitude[:, 2:].sum() / amplitude.sum()) > 0.1
    assert float(amplitude[2:-1].sum() / amplitude.sum()) > 0.1
    power = torch.fft.fft2(landscapes(200, (64, 64), rng_of(0)).double()).abs().square().sum(dim=(0, 1))
    assert float(power[2:].sum() / power.sum()) > 0.2


@pytest.mark.parametrize("hw", [(64, 64), (48, 80), (80, 48)])
def test_a_landscapes_amplitude_falls_with_the_third_power_of_cycles_a_pixel_either_way(
    hw: tuple[int, int],
) -> None:
    power = torch.fft.fft2(landscapes(300, hw, rng_of(0)).double()).abs().square().mean(dim=0)
    h, w = hw
    flat = [float(power[k, 0]) * (k / h) ** 6 for k in (2, 8)]
    flat += [float(power[0, k]) * (k / w) ** 6 for k in (2, 8)]
    flat += [float(power[4, 4]) * float(np.hypot(4 / h, 4 / w)) ** 6]
    assert max(flat) / min(flat) < 1.6  # each is the mean of 300 exponential variables


# -- parts that are moved


def resized(image: torch.Tensor, hw: tuple[int, int]) -> np.ndarray:
    """By Pillow, whose filter widens when it shrinks."""
    return np.asarray(Image.fromarray(image.numpy()).resize(hw[::-1], Image.Resampling.BILINEAR)).astype(int)


@pytest.mark.parametrize("name", ["resizemix", "contextmix"])
@settings(deadline=None, max_examples=25)
@given(n=st.integers(2, 5), h=st.integers(8, 40), w=st.integers(8, 40), own=st.booleans(), seed=seeds)
def test_the_box_holds_the_whole_partner_fitted_to_it(
    name: str, n: int, h: int, w: int, own: bool, seed: int
) -> None:
    images = noise(n, h, w, seed)
    mixed = MIXES[name].run(images, torch.arange(n), given_for(n, per_sample=own), rng_of(seed))
    assert mixed.mask is not None
    for i, partner in enumerate(mixed.second.tolist()):
        rows, columns = (mixed.mask[i] == 0).nonzero(as_tuple=True)
        if i == partner or not len(rows):
            assert torch.equal(mixed.images[i], images[i])
            continue
        box = slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)
        seen = mixed.images[i][box].numpy().astype(int)
        assert len(rows) == seen.shape[0] * seen.shape[1]  # the mask is a box
        assert np.abs(seen - resized(images[partner], seen.shape[:2])).max() <= 1
        stays = mixed.mask[i] == 1
        assert torch.equal(mixed.images[i][stays], images[i][stays])


@settings(deadline=None, max_examples=25)
@given(n=st.integers(1, 5), h=st.integers(8, 40), w=st.integers(8, 40), seed=seeds)
def test_a_crop_of_the_partner_is_what_is_fitted_to_the_box(n: int, h: int, w: int, seed: int) -> None:
    images, rng = noise(n, h, w, seed), rng_of(seed)
    partner = pairing(n, rng)
    into, crop = (random_boxes(torch.full((n,), 0.5), (h, w), rng, least=1) for _ in range(2))
    pasted, masks = paste(images, partner, into, crop)
    for i in range(n):
        target, source = (slices(boxes, i) for boxes in (into, crop))
        if partner[i] == i:
            assert torch.equal(pasted[i], images[i])
            assert masks[i].all()
        else:
            seen = pasted[i][target].numpy().astype(int)
            part = images[partner[i]][source].contiguous()
            assert np.abs(seen - resized(part, seen.shape[:2])).max() <= 1
            assert not masks[i][target].any()
            assert int(masks[i].sum()) == h * w - seen.shape[0] * seen.shape[1]


def slices(boxes: Boxes, i: int) -> tuple[slice, slice]:
    return slice(int(boxes.top[i]), int(boxes.bottom[i])), slice(int(boxes.left[i]), int(boxes.right[i]))


def test_resizemixs_sides_are_uniform_between_a_tenth_and_eight_tenths() -> None:
    boxes = resizemix_boxes(4000, (1000, 500), rng_of(0))
    free = (boxes.top > 0) & (boxes.bottom < 1000)
    tall = (boxes.bottom - boxes.top)[free].double() / 1000
    wide = (boxes.right - boxes.left)[(boxes.left > 0) & (boxes.right < 500)].double() / 500
    for sides in (tall, wide):
        assert float(sides.min()) >= 0.099
        assert float(sides.max()) <= 0.8
    # A box of side s is free along one axis with probability 1 - s.
    expected = sum(s * (1 - s) for s in np.linspace(0.1, 0.8, 1001))
    expected /= sum(1 - s for s in np.linspace(0.1, 0.8, 1001))
    assert float(tall.mean()) == pytest.approx(expected, abs=0.015)


def test_contextmix_leaves_out_boxes_too_small_to_see() -> None:
    kept = torch.linspace(0, 1, 300, dtype=torch.float64)
    boxes = contextmix_boxes(kept, (20, 30), rng_of(0))
    tall, wide = boxes.bottom - boxes.top, boxes.right - boxes.left
    seen = boxes.area > 0
    assert 0 < seen.sum() < 300
    assert int(torch.minimum(tall, wide)[seen].min()) == 3
