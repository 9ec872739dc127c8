"""CutMix: what is said about a picture is what is in it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgecam_training.mixing import MIXES, Mixed, cutmix, unmixed
from edgecam_training.mixing.cutmix import beta, random_box

sizes = st.integers(1, 40)
seeds = st.integers(0, 2**40)
alphas = st.floats(0.1, 4)


def rng_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n: int, h: int, w: int) -> tuple[Tensor, Tensor]:
    """Images whose every pixel is the image's number, which is its label too."""
    ids = torch.arange(n)
    return ids.to(torch.uint8)[:, None, None, None].expand(n, h, w, 3).contiguous(), ids


@settings(deadline=None, max_examples=150)
@given(n=st.integers(1, 9), h=sizes, w=sizes, alpha=alphas, seed=seeds)
def test_the_first_share_is_exactly_the_share_of_pixels_that_stayed(
    n: int, h: int, w: int, alpha: float, seed: int
) -> None:
    images, labels = numbered(n, h, w)
    mixed = cutmix(images, labels, alpha=alpha, rng=rng_of(seed))
    assert mixed.images.shape == images.shape
    assert mixed.images.dtype == torch.uint8
    assert torch.equal(mixed.first, labels)
    assert ((mixed.first_share >= 0) & (mixed.first_share <= 1)).all()
    for image, own, other, share in zip(*mixed, strict=True):
        replaced = int((image[..., 0] != own).sum())
        assert set(image.unique().tolist()) <= {int(own), int(other)}
        if own == other:  # its own partner: untouched, and both labels are its own
            assert replaced == 0
        else:
            assert share == torch.tensor(1 - replaced / (h * w))


@settings(deadline=None, max_examples=60)
@given(n=st.integers(2, 7), h=sizes, w=sizes, seed=seeds)
def test_the_part_on_top_is_the_same_box_of_the_partner(n: int, h: int, w: int, seed: int) -> None:
    images = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, h, w, 3), dtype=np.uint8))
    before = images.clone()
    mixed = cutmix(images, torch.arange(n), alpha=1.0, rng=rng_of(seed))
    own, partner = images, images[mixed.second]
    from_own = (mixed.images == own).all(dim=3)
    from_partner = (mixed.images == partner).all(dim=3)
    assert (from_own | from_partner).all()  # every pixel stands where it stood in its source
    assert torch.equal(images, before)  # the batch given is not written to


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 7), seed=seeds)
def test_equal_images_stay_as_they_are(n: int, seed: int) -> None:
    images = torch.randint(0, 256, (1, 12, 20, 3), dtype=torch.uint8, generator=rng_of(seed)).repeat(
        n, 1, 1, 1
    )
    assert torch.equal(cutmix(images, torch.arange(n), alpha=1.0, rng=rng_of(seed)).images, images)


@settings(deadline=None, max_examples=200)
@given(h=sizes, w=sizes, alpha=alphas, seed=seeds)
def test_a_box_lies_inside_and_leaves_at_least_the_share_that_was_drawn(
    h: int, w: int, alpha: float, seed: int
) -> None:
    drawn = beta(alpha, rng_of(seed))  # random_box draws the same first
    top, bottom, left, right = random_box(h, w, alpha=alpha, rng=rng_of(seed))
    assert 0 <= top <= bottom <= h
    assert 0 <= left <= right <= w
    assert 1 - (bottom - top) * (right - left) / (h * w) >= drawn - 1e-9


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 9), seed=seeds)
def test_a_mix_repeats_with_its_seed_and_leaves_other_randomness_alone(n: int, seed: int) -> None:
    images, labels = numbered(n, 16, 24)
    state = torch.get_rng_state()
    one, two = (cutmix(images, labels, alpha=1.0, rng=rng_of(seed)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_another_seed_gives_another_mix() -> None:
    images, labels = numbered(8, 32, 32)
    mixes = [cutmix(images, labels, alpha=1.0, rng=rng_of(seed)) for seed in range(5)]
    assert len({float(mixed.first_share[0]) for mixed in mixes}) == 5
    assert len({tuple(mixed.second.tolist()) for mixed in mixes}) == 5


def test_the_shares_are_distributed_like_torchvisions() -> None:
    from torchvision.transforms import v2

    theirs = v2.CutMix(alpha=1.0, num_classes=2)
    images, labels = torch.zeros(2, 3, 48, 80), torch.tensor([0, 1])
    torch.manual_seed(0)
    # They roll the batch by one, so row 0 keeps class 0 with the share that we call first.
    their_shares = np.array([float(theirs(images, labels)[1][0, 0]) for _ in range(400)])
    rng = rng_of(0)
    boxes = [random_box(48, 80, alpha=1.0, rng=rng) for _ in range(3000)]
    our_shares = np.array(
        [1 - (bottom - top) * (right - left) / (48 * 80) for top, bottom, left, right in boxes]
    )
    # Standard errors are 0.015 and 0.005; the mean of the paper's boxes at 224 x 224 is 0.684.
    assert abs(our_shares.mean() - 0.684) < 0.02
    assert abs(our_shares.mean() - their_shares.mean()) < 0.05
    assert abs(np.median(our_shares) - np.median(their_shares)) < 0.09


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_beta_has_the_mean_and_variance_of_the_textbook(alpha: float) -> None:
    rng = rng_of(1)
    draws = np.array([beta(alpha, rng) for _ in range(4000)])
    assert ((draws >= 0) & (draws <= 1)).all()
    assert abs(draws.mean() - 0.5) < 0.03
    assert abs(draws.var() - 1 / (4 * (2 * alpha + 1))) < 0.015


def test_an_unmixed_batch_belongs_to_its_own_labels_alone() -> None:
    images, labels = numbered(5, 4, 6)
    mixed = unmixed(images, labels)
    assert torch.equal(mixed.images, images)
    assert torch.equal(mixed.first, labels)
    assert torch.equal(mixed.second, labels)
    assert mixed.first_share.tolist() == [1.0] * 5


@pytest.mark.parametrize("name", MIXES)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_every_registered_mix_keeps_shapes_types_and_shares(name: str, n: int) -> None:
    images, labels = numbered(n, 32, 64)
    mixed = MIXES[name](images, labels, alpha=1.0, rng=rng_of(2))
    assert isinstance(mixed, Mixed)
    assert mixed.images.shape == images.shape
    assert mixed.images.dtype == torch.uint8
    assert mixed.first.shape == mixed.second.shape == mixed.first_share.shape == (n,)
    assert ((mixed.first_share >= 0) & (mixed.first_share <= 1)).all()
