"""Score maps, their bins, PxAP and pointing: by hand, against the plain restatement, and what must hold."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from calibration.wsol_kit import HARD, filled, plain_map, plain_pxap, true_mask
from edgecam_calibration.intervals import Estimate
from edgecam_calibration.localization.baselines import centre_gaussian
from edgecam_calibration.localization.pointing import points_into_box, points_into_mask
from edgecam_calibration.localization.pxap import PixelCounts
from edgecam_calibration.localization.scoremap import Binning, cells, scoremap
from edgecam_calibration.localization.scorer import Scorer
from edgecam_calibration.localization.sweep import Sweep

WHOLE = st.integers(-40, 40)
SIZES = st.tuples(st.integers(1, 8), st.integers(1, 8))


def pxap(
    cams: list[NDArray[np.float64]], masks: list[NDArray[np.uint8]], interval: float = 0.001
) -> Estimate | None:
    scorer = Scorer(interval=interval)
    for cam, mask in zip(cams, masks, strict=True):
        scorer.add(cam, mask=mask)
    return scorer.result(rng=np.random.default_rng(0)).figures.pxap


def value(share: Estimate | None) -> float:
    assert share is not None
    return share.value


# -- score maps


def test_a_score_map_reaches_from_0_to_1() -> None:
    assert scoremap(np.array([[-2, 0], [2, 6]])).tolist() == [[0, 0.25], [0.5, 1]]


@pytest.mark.parametrize(
    "cam",
    [
        np.full((3, 4), 0.7),
        np.array([[1.0, np.nan]]),
        np.array([[1.0, np.inf]]),
        np.array([[1.0, -np.inf]]),
        np.array([[1.7e308, -1.7e308]]),
        np.zeros((2, 2), np.uint8),
    ],
)
def test_a_map_without_a_finite_range_says_nothing(cam: NDArray[np.float64]) -> None:
    assert not scoremap(cam).any()
    assert scoremap(cam, (5, 6)).tolist() == np.zeros((5, 6)).tolist()


@pytest.mark.parametrize(
    "stored", [np.asfortranarray, lambda cam: cam.astype(">f8"), lambda cam: np.stack([cam, cam])[1]]
)
def test_how_a_map_lies_in_memory_changes_nothing(
    stored: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> None:
    rng = np.random.default_rng(0)
    cam, mask = rng.random((20, 31)), true_mask(rng, (20, 31))
    assert scoremap(stored(cam)).tolist() == scoremap(cam).tolist()
    for hw in (None, (24, 24)):
        before, after = Scorer(hw=hw, interval=0.1), Scorer(hw=hw, interval=0.1)
        truth = mask if hw is None else mask[:1, :1].repeat(24, 0).repeat(24, 1)
        before.add(cam, mask=truth, boxes=[[2, 3, 15, 16]])
        after.add(stored(cam), mask=truth, boxes=[[2, 3, 15, 16]])
        first, second = (each.result(rng=np.random.default_rng(0)).document() for each in (before, after))
        assert first == second


def test_a_constant_map_stays_constant_when_it_is_resampled() -> None:
    # Bicubic weights do not quite add up to 1; stretched to 0..1, the rounding would look like a map.
    assert not scoremap(np.full((14, 14), 0.3), (224, 224)).any()


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(lambda hw: arrays(np.int64, hw, elements=WHOLE)),
    st.integers(1, 9999),
    st.integers(-9999, 9999),
)
def test_scaling_and_shifting_whole_numbers_changes_no_bit_of_the_score_map(
    cam: NDArray[np.int64], scale: int, shift: int
) -> None:
    assert scoremap(scale * cam + shift).tolist() == scoremap(cam).tolist() == plain_map(cam).tolist()


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
    st.sampled_from([0.001, 0.01, 0.07, 1 / 3, 1 / 49, 0.5]),
)
def test_bins_are_those_that_numpy_finds(values: list[float], interval: float) -> None:
    edges = np.unique(np.append(np.arange(0, 1, interval), 1.0))
    beside = np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges[:-1], 1)])
    everything = np.concatenate([values, beside])
    expected = np.searchsorted(edges, everything, side="right") - 1
    assert Binning(edges)(everything, cells(everything)).tolist() == expected.tolist()


@pytest.mark.parametrize("edges", [[0.1, 0.5], [0.0, 0.5, 0.5], [0.0, 1.5], list(np.linspace(0, 1, 40_000))])
def test_edges_that_do_not_ascend_from_0_to_1_are_refused(edges: list[float]) -> None:
    with pytest.raises(ValueError, match="Edges"):
        Binning(np.array(edges))


@pytest.mark.parametrize("interval", [0.0, -0.1, 1.0, np.nan])
def test_an_interval_that_makes_no_thresholds_is_refused(interval: float) -> None:
    with pytest.raises(ValueError, match="interval"):
        Sweep(interval)


# -- PxAP


def test_a_map_that_is_the_mask_has_a_pxap_of_1() -> None:
    mask = filled((20, 20), (3, 4, 9, 11)).astype(np.uint8)
    assert value(pxap([mask.astype(float)], [mask])) == 1


def test_pxap_by_hand() -> None:
    # From the top: 1 hit of 1, then 1 of 2, then 2 of 3, 2 of 4. Recall moves at the first and third.
    cam = np.array([[1.0, 0.8, 0.6, 0.0]])
    mask = np.array([[1, 0, 1, 0]], np.uint8)
    assert value(pxap([cam], [mask])) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_values_in_one_bin_are_called_together() -> None:
    cam = np.array([[1.0, 0.6004, 0.6002, 0.0]])
    mask = np.array([[1, 0, 1, 0]], np.uint8)
    assert value(pxap([cam], [mask])) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    mask = np.array([[1, 1, 0, 0]], np.uint8)  # the other way round, and yet the same
    assert value(pxap([cam], [mask])) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_pixels_are_pooled_over_the_set() -> None:
    # The first image alone has 1.0, the second 0.25; together: 1 of 2, then 2 of 8.
    cams = [np.array([[1.0, 0, 0, 0]]), np.array([[1.0, 0, 0, 0]])]
    masks = [np.array([[1, 0, 0, 0]], np.uint8), np.array([[0, 0, 0, 1]], np.uint8)]
    assert value(pxap(cams, masks)) == pytest.approx(0.5 * 0.5 + 0.5 * 2 / 8)


@given(
    SIZES.flatmap(lambda hw: arrays(np.uint8, hw, elements=st.sampled_from([0, 1, 255]))), st.integers(-5, 5)
)
@settings(max_examples=50, deadline=None)
def test_a_constant_map_has_the_prevalence(mask: NDArray[np.uint8], level: int) -> None:
    found = pxap([np.full(mask.shape, float(level))], [mask])
    if not (mask == 1).any():
        assert found is None
    else:
        assert value(found) == pytest.approx((mask == 1).sum() / (mask != 255).sum())


@pytest.mark.parametrize("kind", HARD)
@pytest.mark.parametrize("interval", [0.001, 0.01, 0.07])
def test_pxap_equals_the_plain_restatement(kind: str, interval: float) -> None:
    rng = np.random.default_rng([len(kind), 5])
    sizes = [(24, 31), (9, 40), (12, 12)]
    cams, masks = [HARD[kind](rng, hw) for hw in sizes], [true_mask(rng, hw) for hw in sizes]
    assert value(pxap(cams, masks, interval)) == pytest.approx(plain_pxap(cams, masks, interval), abs=1e-6)


@given(
    SIZES.flatmap(
        lambda hw: st.tuples(
            arrays(np.int64, hw, elements=WHOLE), arrays(np.uint8, hw, elements=st.sampled_from([0, 1, 255]))
        )
    )
)
@settings(max_examples=60, deadline=None)
def test_pxap_of_any_small_map_equals_the_plain_one_and_stays_in_bounds(
    pair: tuple[NDArray[np.int64], NDArray[np.uint8]],
) -> None:
    cam, mask = pair
    found = pxap([cam.astype(float)], [mask])
    if found is not None:
        assert found.value == pytest.approx(plain_pxap([cam], [mask], 0.001), abs=1e-9)
        assert 0 <= found.low <= found.value <= found.high <= 1 + 1e-12


def test_pixels_left_out_change_nothing() -> None:
    rng = np.random.default_rng(0)
    cam, mask = rng.random((20, 20)), true_mask(rng, (20, 20))
    other = np.where(mask == 255, rng.random((20, 20)), cam)
    other[0, 0], cam[0, 0], other[0, 1], cam[0, 1] = 0, 0, 1, 1  # one range for both
    assert value(pxap([cam], [mask])) == value(pxap([other], [mask]))


def test_masks_without_an_object_have_no_pxap() -> None:
    cam, mask = np.eye(5), np.zeros((5, 5), np.uint8)
    assert pxap([cam], [mask]) is None
    assert pxap([cam], [np.full((5, 5), 255, np.uint8)]) is None
    full = np.ones((5, 5), np.uint8)
    assert value(pxap([cam, cam], [mask, full])) < 1  # but beside others an empty mask counts


def test_the_precision_recall_curve_ends_at_everything() -> None:
    rng = np.random.default_rng(0)
    scorer = Scorer(interval=0.1)
    mask = true_mask(rng, (20, 20))
    scorer.add(rng.random((20, 20)), mask=mask)
    curve = scorer.result(rng=rng).pixel_curve
    assert curve is not None
    assert len(curve.thresholds) == len(curve.precision) == len(curve.recall) == 10
    assert curve.recall[0] == 1
    assert curve.precision[0] == pytest.approx((mask == 1).sum() / (mask != 255).sum())
    assert (np.diff(curve.recall) <= 0).all()


def test_the_interval_of_pxap_holds_the_truth_at_about_its_nominal_rate() -> None:
    rng = np.random.default_rng(4)
    sweep = Sweep(0.01)

    def drawn(n: int) -> PixelCounts:
        counts = PixelCounts(sweep.thresholds)
        for _ in range(n):
            codes = (rng.random((4, 8)) < rng.uniform(0.1, 0.6)).astype(
                np.int64
            )  # images differ in size of object
            scores = np.clip(rng.normal(0.4 + 0.2 * codes, 0.15 + 0.1 * rng.random()), 0, 1)
            counts.add(sweep.binning(scores, cells(scores)), codes)
        return counts

    truth = value(drawn(6000).average_precision(rng=rng))
    intervals = [drawn(60).average_precision(rng=rng) for _ in range(100)]
    held = sum(share is not None and share.low <= truth <= share.high for share in intervals)
    assert held >= 87  # 95 in the long run, a little less of 60 images


def test_the_interval_from_coarse_bins_is_that_of_fine_ones() -> None:
    rng = np.random.default_rng(5)
    cams = [rng.random((16, 16)) ** 2 for _ in range(30)]
    masks = [(cam + rng.normal(0, 0.5, cam.shape) > 0.6).astype(np.uint8) for cam in cams]
    fine, coarse = pxap(cams, masks, 0.001), pxap(cams, masks, 0.01)
    assert fine is not None
    assert coarse is not None
    assert fine.high - fine.low == pytest.approx(coarse.high - coarse.low, rel=0.1)


# -- pointing


def test_the_peak_must_be_a_pixel_of_a_box_corners_included() -> None:
    score = scoremap(filled((20, 30), (9, 5, 9, 5)))
    assert points_into_box(score, [[9, 5, 12, 12]])
    assert points_into_box(score, [[0, 0, 9, 5]])
    assert not points_into_box(score, [[10, 5, 12, 12]])
    assert points_into_box(score, [[20, 15, 25, 18], [0, 0, 9, 5]])


def test_all_of_several_peaks_must_be_inside() -> None:
    score = scoremap(np.maximum(filled((20, 30), (2, 2, 2, 2)), filled((20, 30), (20, 9, 20, 9))))
    assert not points_into_box(score, [[0, 0, 5, 5]])
    assert points_into_box(score, [[0, 0, 5, 5], [18, 8, 22, 11]])
    codes = (score == 1).astype(np.uint8)
    assert points_into_mask(score, codes)
    codes[2, 2] = 0
    assert not points_into_mask(score, codes)


def test_a_flat_map_points_nowhere() -> None:
    assert not points_into_box(np.zeros((4, 4)), [[0, 0, 3, 3]])
    assert points_into_mask(np.zeros((4, 4)), np.ones((4, 4), np.uint8)) is False


def test_the_peak_is_looked_for_where_pixels_count() -> None:
    score = scoremap(np.array([[1.0, 0.9, 0.1, 1.0, 0.0]]))
    for codes, expected in (
        ([2, 1, 0, 2, 0], True),  # the second highest
        ([2, 0, 1, 2, 0], False),
        ([2, 0, 0, 1, 0], True),  # one of two peaks
        ([2, 1, 1, 0, 1], False),
        ([2, 2, 2, 2, 1], False),  # what is left is 0
        ([2, 2, 2, 2, 2], None),
    ):
        assert points_into_mask(score, np.array([codes], np.uint8)) is expected


# -- the centre


def test_the_centre_is_highest_in_the_middle_and_the_same_on_all_sides() -> None:
    score = centre_gaussian((20, 30))
    assert score.shape == (20, 30)
    assert score.max() == score[9, 14] == 1
    assert score.min() == score[0, 0] == 0
    assert score == pytest.approx(score[::-1, ::-1])
    assert score == pytest.approx(score[::-1])


def test_the_centre_of_another_size_is_the_same_bump() -> None:
    small, large = centre_gaussian((50, 50)), centre_gaussian((150, 150))
    assert large[1::3, 1::3] == pytest.approx(small, abs=0.01)
