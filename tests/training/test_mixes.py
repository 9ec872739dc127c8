"""What holds for every mix: the label says what is in the picture, whatever the shape of the part."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecam_training.mixing import MIXES, Given, unmixed
from edgecam_training.mixing.draw import beta
from edgecam_training.mixing.registry import Mix
from training.mix_kit import (
    KEEPS_LABELS_BY_AREA,
    SOFT,
    alphas,
    given_for,
    noise,
    numbered,
    rng_of,
    seeds,
    sizes,
)

some = settings(deadline=None, max_examples=25)
per_sample = st.booleans()


@pytest.mark.parametrize("name", MIXES)
@some
@given(n=st.integers(1, 9), h=sizes, w=sizes, alpha=alphas, own=per_sample, seed=seeds)
def test_a_mix_keeps_shapes_and_types_and_its_mask_within_0_and_1(
    name: str, n: int, h: int, w: int, alpha: float, own: bool, seed: int
) -> None:
    images, labels = noise(n, h, w, seed), torch.arange(n)
    before = images.clone()
    mixed = MIXES[name].run(images, labels, given_for(n, alpha=alpha, per_sample=own), rng_of(seed))
    assert mixed.images.shape == images.shape
    assert mixed.images.dtype == torch.uint8
    assert torch.equal(images, before)  # the batch given is not written to
    assert torch.equal(mixed.first, labels)
    assert mixed.second.shape == mixed.first_share.shape == mixed.second_share.shape == (n,)
    assert sorted(mixed.second.tolist()) == labels.tolist()  # everybody is somebody's partner
    for share in (mixed.first_share, mixed.second_share):
        assert share.dtype == torch.float32
        assert ((share >= -1e-6) & (share <= 1 + 1e-6)).all()
    assert mixed.mask is not None
    assert mixed.mask.dtype == torch.float32
    assert mixed.mask.shape in {(1, h, w), (n, h, w)}
    assert ((mixed.mask >= 0) & (mixed.mask <= 1)).all()


@pytest.mark.parametrize("name", KEEPS_LABELS_BY_AREA)
@some
@given(n=st.integers(1, 9), h=sizes, w=sizes, alpha=alphas, own=per_sample, seed=seeds)
def test_the_shares_of_labels_are_the_shares_of_pixels(
    name: str, n: int, h: int, w: int, alpha: float, own: bool, seed: int
) -> None:
    images, labels = numbered(n, h, w)
    images = images * 20
    mixed = MIXES[name].run(images, labels, given_for(n, alpha=alpha, per_sample=own), rng_of(seed))
    torch.testing.assert_close(mixed.first_share + mixed.second_share, torch.ones(n))
    assert mixed.mask is not None
    own_share = mixed.mask.double().mean(dim=(1, 2)).expand(n)
    assert ((own_share - mixed.first_share).abs() <= 1 / (h * w)).all()
    shown = mixed.images.double().mean(dim=(1, 2, 3))
    said = 20 * (mixed.first_share * mixed.first + mixed.second_share * mixed.second).double()
    tolerance = 0.5 + 1e-3 if name in SOFT else 1e-3  # soft masks round each pixel to a grey level
    assert ((shown - said).abs() <= tolerance).all()


@pytest.mark.parametrize("name", sorted(set(MIXES) - {"cutout"}))
@some
@given(n=st.integers(1, 7), h=sizes, w=sizes, own=per_sample, seed=seeds)
def test_an_image_that_is_its_own_partner_is_untouched(
    name: str, n: int, h: int, w: int, own: bool, seed: int
) -> None:
    images, labels = noise(n, h, w, seed), torch.arange(n)
    mixed = MIXES[name].run(images, labels, given_for(n, per_sample=own), rng_of(seed))
    alone = mixed.second == labels
    assert torch.equal(mixed.images[alone], images[alone])
    torch.testing.assert_close((mixed.first_share + mixed.second_share)[alone], torch.ones(int(alone.sum())))


@pytest.mark.parametrize("name", [name for name, mix in MIXES.items() if not mix.moves and name != "cutout"])
@some
@given(n=st.integers(1, 7), own=per_sample, seed=seeds)
def test_equal_images_stay_as_they_are(name: str, n: int, own: bool, seed: int) -> None:
    images = noise(1, 12, 20, seed).repeat(n, 1, 1, 1)
    mixed = MIXES[name].run(images, torch.arange(n), given_for(n, per_sample=own), rng_of(seed))
    assert torch.equal(mixed.images, images)


@pytest.mark.parametrize("name", ["cutmix", "fmix", "puzzlemix-lite", "attentive-cutmix"])
@some
@given(n=st.integers(1, 7), h=sizes, w=sizes, own=per_sample, seed=seeds)
def test_every_pixel_comes_whole_from_where_the_mask_says(
    name: str, n: int, h: int, w: int, own: bool, seed: int
) -> None:
    images = noise(n, h, w, seed)
    mixed = MIXES[name].run(images, torch.arange(n), given_for(n, per_sample=own), rng_of(seed))
    assert mixed.mask is not None
    assert set(mixed.mask.unique().tolist()) <= {0.0, 1.0}
    stays = mixed.mask.expand(n, h, w) == 1
    assert torch.equal(mixed.images[stays], images[stays])
    assert torch.equal(mixed.images[~stays], images[mixed.second][~stays])


@pytest.mark.parametrize("name", MIXES)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_mix_repeats_with_its_seed_and_leaves_other_randomness_alone(name: str, n: int) -> None:
    images, labels = numbered(n, 16, 24)
    state = torch.get_rng_state()
    for own in (False, True):
        given = given_for(n, per_sample=own)
        one, two = (MIXES[name].run(images, labels, given, rng_of(7)) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True) if a is not None)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", MIXES)
def test_another_seed_gives_another_mix(name: str) -> None:
    images, labels = numbered(8, 32, 48)
    results = [MIXES[name].run(images, labels, given_for(8), rng_of(seed)) for seed in range(4)]
    pictures = {bytes(mixed.images.numpy().tobytes()) for mixed in results}
    assert len(pictures) == 4


@pytest.mark.parametrize("name", [name for name, mix in MIXES.items() if mix.masks is not None])
def test_masks_are_one_a_batch_or_one_a_sample(name: str) -> None:
    images, labels = numbered(9, 32, 48)
    mix = MIXES[name]

    def different(*, per_sample: bool) -> int:
        mixed = mix.run(images, labels, given_for(9, alpha=mix.alpha, per_sample=per_sample), rng_of(3))
        assert mixed.mask is not None
        moved = mixed.mask if len(mixed.mask) == 1 or not mix.moves else mixed.mask[mixed.second != labels]
        return len(moved.unique(dim=0))

    assert different(per_sample=False) == 1
    assert different(per_sample=True) > 4


def test_the_registry_says_who_needs_maps_and_those_refuse_to_go_without() -> None:
    images, labels = numbered(3, 16, 16)
    without = Given()
    for name, mix in MIXES.items():
        if mix.needs_saliency:
            with pytest.raises(ValueError, match=f"{name} needs maps"):
                mix.run(images, labels, without, rng_of(0))
        else:
            mix.run(images, labels, without, rng_of(0))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_beta_has_the_mean_and_variance_of_the_textbook(alpha: float) -> None:
    draws = beta(alpha, alpha, 4000, rng_of(1))
    assert ((draws >= 0) & (draws <= 1)).all()
    assert abs(draws.mean() - 0.5) < 0.03
    assert abs(draws.var() - 1 / (4 * (2 * alpha + 1))) < 0.015


def test_beta_of_two_numbers_leans_to_the_first() -> None:
    draws = beta(2.0, 1.0, 4000, rng_of(1))
    assert abs(draws.mean() - 2 / 3) < 0.02


def test_beta_of_tiny_numbers_is_still_a_share() -> None:
    draws = beta(1e-4, 1e-4, 200, rng_of(1))
    assert ((draws >= 0) & (draws <= 1)).all()


def test_an_unmixed_batch_belongs_to_its_own_labels_alone() -> None:
    images, labels = numbered(5, 4, 6)
    mixed = unmixed(images, labels)
    assert torch.equal(mixed.images, images)
    assert torch.equal(mixed.first, labels)
    assert torch.equal(mixed.second, labels)
    assert mixed.first_share.tolist() == [1.0] * 5
    assert mixed.second_share.tolist() == [0.0] * 5
    assert mixed.mask is None


@pytest.mark.parametrize(
    "name", [n for n, mix in MIXES.items() if mix.masks is not None and not mix.own_size]
)
def test_where_all_is_to_stay_all_stays(name: str) -> None:
    masks = _law(MIXES[name])(torch.ones(4, dtype=torch.float64), (11, 18), rng_of(0))
    # SnapMix must cut something out of the partner and put it somewhere: a single pixel.
    least = 1 - 1 / (11 * 18) if name == "snapmix" else 1.0
    torch.testing.assert_close(masks.double().mean(dim=(1, 2)), torch.full((4,), least, dtype=torch.float64))


@pytest.mark.parametrize("name", ["mixup", "fmix", "hmix", "gmix"])
def test_where_nothing_is_to_stay_the_partner_is_all_there_is(name: str) -> None:
    """Boxes of CutMix's law are clipped, so there something may stay."""
    masks = _law(MIXES[name])(torch.zeros(4, dtype=torch.float64), (11, 18), rng_of(0))
    assert masks.shape == (4, 11, 18)
    assert masks.sum() == 0


def _law(mix: Mix):  # noqa: ANN202
    assert mix.masks is not None
    return mix.masks
