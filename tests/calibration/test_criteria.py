"""Bounds are kept by bad ends: what few photos prove, how many would do, and that this number is right."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecam_calibration.classification.paired import compare, difference
from edgecam_calibration.criteria import Criterion, images_needed, judge_figure
from edgecam_calibration.margins import (
    error_rise,
    gaps,
    least_mean,
    least_quantile,
    least_share,
    most_f1_lost,
    most_lost,
)

# -- three states


def held(value: float, end: float, bound: float, *, most: bool = False, same: bool = False) -> Criterion:
    """A figure whose bad end comes nearer with the root of n: `end` at 100 photos."""
    return judge_figure(
        "it", value, lambda n: value + (end - value) * math.sqrt(100 / n), bound, 100, most=most, same=same
    )


@pytest.mark.parametrize(
    ("value", "end", "bound", "state"),
    [
        (0.99, 0.96, 0.95, "passed"),
        (0.99, 0.95, 0.95, "passed"),
        (0.99, 0.94, 0.95, "unproven"),
        (0.95, 0.94, 0.95, "unproven"),
        (0.94, 0.90, 0.95, "refused"),
    ],
)
def test_a_bound_is_kept_missed_or_open(value: float, end: float, bound: float, state: str) -> None:
    assert held(value, end, bound).state == state
    assert held(-value, -end, -bound, most=True).state == state


def test_the_number_needed_is_that_of_the_root_law_rounded_up() -> None:
    """0.01 of 0.03 must go: nine fourths of 100 photos, 225, told as 230."""
    criterion = held(0.99, 0.96, 0.97)
    assert criterion.needs == 230
    assert "not enough images, need about 230" in criterion.reason


def test_at_the_bound_itself_no_number_of_images_proves_anything() -> None:
    criterion = held(0.95, 0.94, 0.95)
    assert criterion.state == "unproven"
    # 1e-9 of slack would be reached in the end, by nobody who takes photos.
    assert criterion.needs is None
    assert "no number of images proves it" in criterion.reason


def test_the_same_bits_leave_nothing_to_estimate() -> None:
    criterion = held(1.0, 0.2, 0.95, same=True)
    assert (criterion.state, criterion.bad_end) == ("passed", 1.0)
    assert held(0.9, 0.2, 0.95, same=True).state == "refused"


@given(st.integers(1, 5000), st.integers(1, 900_000))
def test_the_search_finds_the_least_number_within_a_tenth(n: int, more: int) -> None:
    least = n + more
    found = images_needed(lambda count: count >= least, n)
    assert found is not None
    assert least <= found <= 1.13 * least + 1


def test_more_than_a_million_is_no_advice() -> None:
    assert images_needed(lambda _: False, 300) is None


# -- what photos prove


@pytest.mark.parametrize(
    ("n", "end"),
    [(1, 0.26987), (10, 0.78706), (100, 0.97366), (178, 0.98503), (300, 0.99106)],
)
def test_full_agreement_of_n_photos_proves_wilsons_lower_end(n: int, end: float) -> None:
    """n / (n + 1.6449 squared), by hand; 178 is the least n that proves 98.5 %."""
    assert least_share(1.0, n) == pytest.approx(n / (n + 2.705543), abs=1e-6)
    assert least_share(1.0, n) == pytest.approx(end, abs=1e-5)


def test_the_default_bounds_ask_a_faultless_engine_for_less_than_two_hundred_photos() -> None:
    ones = np.ones(200)
    assert least_share(1.0, 200) >= 0.985
    assert most_lost(0.0, 0.0, 200) <= 0.01
    assert least_mean(ones, 200) >= 0.90
    assert least_quantile(ones, 0.1, 200) >= 0.75
    assert least_share(1.0, 177) < 0.985
    assert most_lost(0.0, 0.0, 120) > 0.01


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["agreement", "top1", "mean", "decile"]),
    st.integers(20, 400),
    st.floats(0.0, 0.06),
    st.integers(0, 99),
)
def test_as_many_photos_as_were_asked_for_do_settle_it(kind: str, n: int, shift: float, seed: int) -> None:
    """Measured again at the number that was told, with the same shares, the bound is kept."""
    rng = np.random.default_rng(seed)
    ious = np.clip(rng.normal(0.95, 0.05, n), 0, 1)
    share = round((1 - shift) * n) / n
    criterion, again = {
        "agreement": (
            judge_figure("a", share, lambda m: least_share(share, m), share - 0.01, n, most=False),
            lambda m: least_share(share, m) >= share - 0.01,
        ),
        "top1": (
            judge_figure("t", 1 - share, lambda m: most_lost(1 - share, 0.0, m), 1.01 - share, n, most=True),
            lambda m: most_lost(1 - share, 0.0, m) <= 1.01 - share + 1e-3,
        ),
        "mean": (
            judge_figure(
                "m", ious.mean(), lambda m: least_mean(ious, m), ious.mean() - 0.01, n, most=False, unit="IoU"
            ),
            # Really more photos, drawn so that they show the same.
            lambda m: least_mean(np.resize(ious, m), m) >= ious.mean() - 0.01 - 2e-3,
        ),
        "decile": (
            judge_figure(
                "d",
                float(np.quantile(ious, 0.1, method="inverted_cdf")),
                lambda m: least_quantile(ious, 0.1, m),
                float(np.quantile(ious, 0.04, method="inverted_cdf")),
                n,
                most=False,
                unit="IoU",
            ),
            lambda m: (
                least_quantile(np.repeat(ious, -(-m // n)), 0.1, m)
                >= np.quantile(ious, 0.04, method="inverted_cdf")
            ),
        ),
    }[kind]
    assert criterion.state in {"passed", "unproven"}
    if criterion.state == "unproven":
        assert criterion.needs is not None
        assert criterion.needs > n
        assert again(criterion.needs)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(100, 400))
def test_more_photos_with_the_same_shares_never_prove_less(b: int, c: int, n: int) -> None:
    ends = [most_lost(b / n, c / n, m) for m in (n, 4 * n, 16 * n)]
    assert ends[0] >= ends[1] - 1e-3 >= ends[2] - 2e-3
    assert ends[2] >= (b - c) / n - 1e-12
    shares = [least_share(1 - b / n, m) for m in (n, 4 * n, 16 * n)]
    assert shares == sorted(shares)


def test_the_bound_of_a_share_misses_the_truth_in_one_of_twenty_sets() -> None:
    """A thousand sets of 300 photos from a truth of 98.5 %: what would pass although it only just does not."""
    hits = np.random.default_rng(0).binomial(300, 0.985, 20_000)
    passes = np.mean([least_share(k / 300, 300) > 0.985 for k in hits])
    assert passes <= 0.06


def test_the_bound_of_a_mean_misses_the_truth_in_about_one_of_twenty_sets() -> None:
    rng = np.random.default_rng(1)
    sets = rng.beta(18, 2, size=(400, 200))  # mean 0.9
    assert np.mean([least_mean(ious, 200) > 0.9 for ious in sets]) <= 0.08


def test_the_bound_of_a_decile_misses_the_truth_in_at_most_one_of_twenty_sets() -> None:
    rng = np.random.default_rng(2)
    sets = rng.random((2000, 200))  # 10th percentile 0.1
    assert np.mean([least_quantile(values, 0.1, 200) > 0.1 for values in sets]) <= 0.06


def test_a_decile_of_fewer_than_25_photos_is_not_known() -> None:
    assert least_quantile(np.ones(24), 0.1, 24) == 0
    assert least_quantile(np.ones(25), 0.1, 25) == 1


def test_a_few_perfect_maps_prove_no_perfect_mean() -> None:
    assert least_mean(np.ones(1), 1) < 0.5
    assert 0.75 < least_mean(np.ones(10), 10) < 0.9
    assert least_mean(np.ones(300), 300) > 0.99


# -- the paired difference


@pytest.mark.parametrize(("b", "c", "n"), [(0, 0, 150), (3, 1, 150), (20, 12, 400), (5, 0, 60)])
def test_the_law_of_counts_is_that_of_the_bootstrap_over_photos(b: int, c: int, n: int) -> None:
    labels = np.arange(n) % 2
    first, second = labels.copy(), labels.copy()
    second[:b] = 1 - second[:b]
    first[b : b + c] = 1 - first[b : b + c]
    slow = compare(labels, first, second, 2, rng=np.random.default_rng(0), resamples=8000).top1_difference
    fast = difference(b, c, n, rng=np.random.default_rng(1))
    assert fast.value == pytest.approx(slow.value)
    assert (fast.low, fast.high) == (pytest.approx(slow.low, abs=0.003), pytest.approx(slow.high, abs=0.003))


def test_what_both_get_wrong_is_no_loss() -> None:
    assert difference(4, 4, 200, rng=np.random.default_rng(0)).value == 0
    assert most_lost(0.02, 0.02, 200) == pytest.approx(-_mirrored(0.02, 200), abs=2e-3)


def _mirrored(share: float, n: int) -> float:
    return difference(share * n, share * n, n, rng=np.random.default_rng(0), confidence=0.9).low


@pytest.mark.parametrize("counts", [(-1, 0, 10), (6, 5, 10), (0, 0, 0)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="cannot differ"):
        difference(*counts, rng=np.random.default_rng(0))


# -- calibration error and macro F1


def test_an_engine_that_grew_too_sure_shows_a_rise_of_its_calibration_error() -> None:
    """Right in 75 of 100, at 75 % before and at 95 % after: a rise of 20 points."""
    labels = np.array([0] * 75 + [1] * 25)
    before = np.tile(np.array([0.75, 0.25], np.float32), (100, 1))
    after = np.tile(np.array([0.95, 0.05], np.float32), (100, 1))
    first, second = gaps(labels, before), gaps(labels, after)
    assert first.error == pytest.approx(0, abs=1e-6)
    rise = error_rise(first, second, 100)
    assert rise.value == pytest.approx(0.2, abs=1e-6)
    assert 0.05 < rise.low < 0.2 < rise.high < 0.3
    assert error_rise(first, second, 10_000).high - 0.2 < (rise.high - 0.2) / 5


def test_a_lost_class_costs_macro_f1_more_than_top1() -> None:
    """Of 95 and 5 photos the five are all called otherwise: 5 points of top-1, half of macro F1."""
    labels = np.array([0] * 95 + [1] * 5)
    nothing = np.zeros(100, np.int64)
    assert most_f1_lost(labels, labels, nothing, 2, 100) > 0.5
    assert most_f1_lost(labels, labels, labels, 2, 1000) < 0.05
