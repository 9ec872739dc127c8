"""A thing on another ground: exact where it is opaque and where it is not, soft between, and plausible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edgecam_training.composite.place import Layer
from edgecam_training.recompose.compose import Ground, compose, feathered, matched, merged
from edgecam_training.recompose.pose import draw_pose, thing_of
from training.recompose_kit import HW, RED, disc, ground, photo

FRAMES = arrays(np.uint8, (9, 13, 3))
SEEDS = st.integers(0, 2**32)


def layer_of(frame: NDArray[np.uint8], alpha: NDArray[np.float32]) -> Layer:
    return Layer(frame.astype(np.float32) * alpha[:, :, None], alpha)


def nothing_painted(number: int = 5) -> Ground:
    return Ground(f"{number}.png", ground(number), np.zeros(HW, np.bool_))


# -- exactness


@given(FRAMES, FRAMES, arrays(np.float32, (9, 13), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])))
def test_opaque_pixels_are_the_things_and_clear_ones_the_grounds_to_the_bit(
    thing: NDArray[np.uint8], under: NDArray[np.uint8], alpha: NDArray[np.float32]
) -> None:
    made = merged(layer_of(thing, alpha), under)
    np.testing.assert_array_equal(made[alpha == 1], thing[alpha == 1])
    np.testing.assert_array_equal(made[alpha == 0], under[alpha == 0])
    low, high = np.minimum(thing, under), np.maximum(thing, under)
    assert ((made >= low) & (made <= high)).all()


@given(SEEDS)
def test_outside_of_the_feather_a_composite_is_its_ground(seed: int) -> None:
    """Of a plain ground, which no crop or mirror changes."""
    plain = Ground("plain", np.full((*HW, 3), (90, 100, 110), np.uint8), np.zeros(HW, np.bool_))
    made = compose(thing_of("t", photo(RED), disc()), plain, np.random.default_rng(seed))
    clear = made.layer.alpha == 0
    assert clear.mean() > 0.5
    assert (made.frame[clear] == (90, 100, 110)).all()
    solid = made.layer.alpha == 1
    assert solid.any()
    np.testing.assert_array_equal(made.frame[solid], np.rint(made.layer.colour[solid]))


def test_without_a_change_of_light_the_inside_is_the_photos_own() -> None:
    frame, mask = photo(RED), disc()
    layer = feathered(layer_of(frame, mask.astype(np.float32)), 4)
    made = merged(layer, ground(1))
    inside = disc(radius=20)
    np.testing.assert_array_equal(made[inside], frame[inside])
    np.testing.assert_array_equal(made[~mask], ground(1)[~mask])


# -- the feather


@pytest.mark.parametrize("width", [3.0, 4.0, 5.0])
def test_a_feather_rises_over_its_width_and_lies_inside(width: float) -> None:
    hard = np.zeros((40, 80), np.float32)
    hard[:, 20:] = 1
    soft = feathered(layer_of(np.full((40, 80, 3), 200, np.uint8), hard), width).alpha
    row = soft[20]
    assert (soft <= hard).all()
    assert (np.diff(row) >= 0).all()
    assert (row[:20] == 0).all()
    rising = np.count_nonzero((row > 0.02) & (row < 0.98))
    assert abs(rising - width) <= 1
    assert (row[20 + 8 :] == 1).all()  # at the frame's edge, too


@given(arrays(np.bool_, (20, 31)), st.floats(3, 5))
def test_a_feather_never_adds_light_or_alpha(mask: NDArray[np.bool_], width: float) -> None:
    hard = layer_of(np.full((20, 31, 3), 255, np.uint8), mask.astype(np.float32))
    soft = feathered(hard, width)
    assert (soft.alpha <= hard.alpha).all()
    assert (soft.colour <= hard.colour + 1e-3).all()


# -- light


@given(st.integers(5, 250), st.integers(0, 255))
def test_light_goes_part_of_the_way_and_never_over(own: int, other: int) -> None:
    alpha = disc().astype(np.float32)
    layer = layer_of(np.full((*HW, 3), own, np.uint8), alpha)
    lit = matched(layer, np.full((*HW, 3), other, np.uint8))
    after = lit.colour[disc()].mean()
    low, high = sorted((own, other))
    assert low - 1e-3 <= after <= high + 1e-3
    assert (lit.colour <= 255 * alpha[:, :, None] + 1e-3).all()
    np.testing.assert_array_equal(lit.alpha, alpha)


# -- the pose


@given(SEEDS)
def test_a_whole_thing_stays_whole_and_between_the_scales(seed: int) -> None:
    pose = draw_pose(thing_of("t", photo(RED), disc()), np.random.default_rng(seed))
    assert 0.7 <= pose.scale <= 1.2
    side = 52 * pose.scale
    assert pose.left >= 0
    assert pose.top >= 0
    assert pose.left + side <= HW[1]
    assert pose.top + side <= HW[0]


@pytest.mark.parametrize("seed", range(12))
def test_what_the_frame_cut_off_is_cut_off_by_the_new_frame(seed: int) -> None:
    """Else a straight cut would stand in the middle of the picture."""
    mask = disc(middle=(6, 48))
    made = compose(thing_of("t", photo(RED, mask=mask), mask), nothing_painted(), np.random.default_rng(seed))
    edge = made.mask[:, -1] if made.pose.mirrored else made.mask[:, 0]
    other = made.mask[:, 0] if made.pose.mirrored else made.mask[:, -1]
    assert edge.sum() > 20
    assert not other.any()


@pytest.mark.parametrize("seed", range(6))
def test_what_goes_from_side_to_side_still_does(seed: int) -> None:
    band = np.zeros(HW, np.bool_)
    band[30:70] = True
    made = compose(thing_of("t", photo(RED, mask=band), band), nothing_painted(), np.random.default_rng(seed))
    assert made.pose.scale > 1
    assert made.mask.any(axis=0).all()
    assert not made.mask[[0, -1]].any()


@pytest.mark.parametrize("seed", range(8))
def test_the_picture_is_as_large_as_the_things_photo_and_its_box_is_the_masks(seed: int) -> None:
    small = Ground("small", ground(3, (61, 47)), np.zeros((61, 47), np.bool_))
    made = compose(thing_of("t", photo(RED), disc()), small, np.random.default_rng(seed))
    assert made.frame.shape == (*HW, 3)
    ys, xs = np.nonzero(made.mask)
    assert made.box == (xs.min(), ys.min(), xs.max(), ys.max())
    reds = made.frame[:, :, 2].astype(int) - made.frame[:, :, :2].max(axis=2) > 60
    assert (reds & made.mask).sum() / (reds | made.mask).sum() > 0.9


def test_a_painted_hole_is_hidden_behind_the_thing_where_it_can_be() -> None:
    hole, thing = disc(radius=16, middle=(40, 40)), thing_of("t", photo(RED), disc())
    behind = Ground("g", ground(2), hole)
    seen = [compose(thing, behind, np.random.default_rng(seed)).painted for seed in range(20)]
    assert np.mean(seen) < 0.25 * hole.mean()
