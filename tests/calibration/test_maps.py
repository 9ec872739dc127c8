"""Agreement of two engines' maps: on masks done by hand, and under what a map may undergo."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecam_calibration.maps import cam_ious, summarise
from edgecam_engines.cam import mask_iou

HW = (32, 32)


def maps(seed: int, n: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, 4, 4)).astype(np.float32)


def test_iou_of_two_squares_done_by_hand() -> None:
    first, second = np.zeros((2, 10, 10), dtype=bool)
    first[0:4, 0:4] = True  # 16 pixels
    second[2:6, 2:6] = True  # 16 pixels, 4 shared
    assert mask_iou(first, second) == pytest.approx(4 / 28)


def test_two_empty_masks_agree_and_one_empty_mask_does_not() -> None:
    nothing, something = np.zeros((4, 4), dtype=bool), np.ones((4, 4), dtype=bool)
    assert mask_iou(nothing, nothing) == 1
    assert mask_iou(nothing, something) == mask_iou(something, nothing) == 0


@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-10, 10))
def test_a_map_agrees_with_itself_scaled_and_shifted(seed: int, scale: float, shift: float) -> None:
    reference = maps(seed)
    moved = (scale * reference + shift).astype(np.float32)
    assert cam_ious(reference, moved, HW) == pytest.approx(1, abs=0.02)  # a pixel may cross 0.5 in float32


@given(st.integers(0, 1000))
def test_agreement_is_symmetric_and_between_zero_and_one(seed: int) -> None:
    first, second = maps(seed), maps(seed + 1)
    there, back = cam_ious(first, second, HW), cam_ious(second, first, HW)
    assert there.tolist() == back.tolist()
    assert ((there >= 0) & (there <= 1)).all()


def test_a_map_turned_upside_down_disagrees() -> None:
    ramp = np.linspace(-1, 1, 16, dtype=np.float32).reshape(1, 4, 4)
    assert cam_ious(ramp, -ramp, HW)[0] < 0.05


def test_a_finer_map_of_the_same_place_agrees() -> None:
    coarse = np.zeros((1, 4, 4), dtype=np.float32)
    coarse[0, 1, 1] = 1
    fine = np.zeros((1, 8, 8), dtype=np.float32)
    fine[0, 2:4, 2:4] = 1
    assert cam_ious(coarse, fine, HW)[0] > 0.5


def test_a_flat_or_broken_map_against_one_that_marks_something_scores_zero() -> None:
    reference = maps(0, n=2)
    flat = np.ones_like(reference)
    broken = reference.copy()
    broken[:, 0, 0] = np.nan
    assert cam_ious(reference, flat, HW).tolist() == [0, 0]
    assert cam_ious(reference, broken, HW).tolist() == [0, 0]


def test_a_broken_map_scores_zero_even_where_the_reference_marks_nothing() -> None:
    flat = np.ones((1, 4, 4), dtype=np.float32)
    assert cam_ious(flat, flat, HW).tolist() == [1]
    assert cam_ious(flat, np.full_like(flat, np.inf), HW).tolist() == [0]


def test_maps_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs"):
        cam_ious(maps(0, n=2), maps(0, n=3), HW)


def test_the_tenth_percentile_is_a_value_that_occurred_and_shows_what_the_mean_hides() -> None:
    ious = np.array([0.2, 0.3] + [1.0] * 18)
    summary = summarise(ious, rng=np.random.default_rng(0))
    assert summary.mean == pytest.approx(ious.mean())
    assert summary.p10 == 0.3
    assert summary.ci95[0] < summary.mean < summary.ci95[1]
    assert summary.n == 20
