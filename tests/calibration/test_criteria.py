"""Bounds are kept by bad ends: what few photos prove, how many would do, and that this number is right."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import beta, binom, multinomial

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


@pytest.mark.parametrize("n", [1, 10, 100, 199, 300])
def test_full_agreement_of_n_photos_proves_the_nth_root_of_five_hundredths(n: int) -> None:
    """By hand: if the truth were that, n photos without a miss came about once in twenty times."""
    assert least_share(1.0, n) ** n == pytest.approx(0.05)
    assert most_lost(0.0, 0.0, n) == pytest.approx(1 - least_share(1.0, n))


def test_shares_are_bounded_as_scipy_bounds_them() -> None:
    for k, n in [(0, 10), (1, 10), (9, 10), (295, 300), (150, 300), (985, 1000), (98_500, 100_000)]:
        assert least_share(k / n, n) == pytest.approx(beta.ppf(0.05, k, n - k + 1) if k else 0, abs=2e-6)
        assert most_lost(1 - k / n, 0, n) == pytest.approx(beta.ppf(0.95, n - k + 1, k) if k else 1, abs=2e-6)


def test_the_default_bounds_ask_a_faultless_engine_for_three_hundred_photos() -> None:
    ones = np.ones(299)
    assert (least_share(1.0, 199) >= 0.985, least_share(1.0, 198) >= 0.985) == (True, False)
    assert (most_lost(0, 0, 299) <= 0.01, most_lost(0, 0, 298) <= 0.01) == (True, False)
    assert least_mean(ones, 40) >= 0.90
    assert (least_quantile(ones, 0.1, 29), least_quantile(ones, 0.1, 28)) == (1, 0)


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(["agreement", "top1", "mean", "decile"]),
    st.integers(30, 400),
    st.integers(0, 5),
    st.integers(0, 2),
    st.integers(0, 99),
)
def test_as_many_photos_as_were_asked_for_do_settle_it(
    kind: str, n: int, lost: int, gained: int, seed: int
) -> None:
    """Measured again at the number that was told, with the same shares, the bound is kept."""
    ious = np.clip(np.random.default_rng(seed).normal(0.95, 0.05, n), 0, 1)
    b, c = lost / n, gained / n
    value, end, bound = {
        "agreement": (1 - b, lambda m: least_share(1 - b, m), 1 - b - 0.01),
        "top1": (b - c, lambda m: most_lost(b, c, m), b - c + 0.01),
        "mean": (float(ious.mean()), lambda m: least_mean(ious, m), float(ious.mean()) - 0.01),
        "decile": (_low(ious, 0.1), lambda m: least_quantile(ious, 0.1, m), _low(ious, 0.04)),
    }[kind]
    criterion = judge_figure(kind, value, end, bound, n, most=kind == "top1")
    assert criterion.state in {"passed", "unproven"}
    if criterion.state == "unproven":
        assert criterion.needs is not None
        assert criterion.needs > n
        again = judge_figure(kind, value, end, bound, criterion.needs, most=kind == "top1")
        assert again.state == "passed"


def test_a_number_that_resampling_takes_back_is_not_told() -> None:
    """The end goes up and down by chance as n grows; found by hypothesis."""
    assert images_needed(lambda n: n >= 112 and n != 120, 100) == 130


def _low(values: NDArray[np.float64], level: float) -> float:
    return float(np.quantile(values, level, method="inverted_cdf"))


def test_a_larger_set_that_shows_the_same_proves_what_was_foretold() -> None:
    """`n` photos of which (k,) are a sample, against really that many photos."""
    ious = np.clip(np.random.default_rng(3).normal(0.9, 0.08, 100), 0, 1)
    more = np.tile(ious, 5)
    assert least_mean(more, 500) == pytest.approx(least_mean(ious, 500), abs=1e-3)
    assert least_quantile(more, 0.1, 500) == pytest.approx(least_quantile(ious, 0.1, 500))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(100, 400))
def test_more_photos_with_the_same_shares_never_prove_less(b: int, c: int, n: int) -> None:
    ends = [most_lost(b / n, c / n, m) for m in (n, 4 * n, 16 * n)]
    assert ends[0] >= ends[1] - 1e-3 >= ends[2] - 2e-3
    assert ends[2] >= (b - c) / n - 1e-12
    shares = [least_share(1 - b / n, m) for m in (n, 4 * n, 16 * n)]
    assert shares == sorted(shares)


# -- how often they are wrong: sets drawn from a truth that stands at the bound must not pass


@pytest.mark.parametrize("n", [150, 199, 300, 1000])
def test_the_bound_of_a_share_is_wrong_at_most_once_in_twenty_sets(n: int) -> None:
    chances = binom.pmf(np.arange(n + 1), n, 0.985)
    passes = [least_share(k / n, n) > 0.985 for k in range(n + 1)]
    assert chances[passes].sum() <= 0.05


@pytest.mark.parametrize(("lost", "gained"), [(0.01, 0.0), (0.015, 0.005), (0.03, 0.02)])
def test_the_bound_of_a_loss_is_wrong_at_most_once_in_twenty_sets(lost: float, gained: float) -> None:
    """Truths of one point; the chances of all counts that are not negligible."""
    n, wrong = 300, 0.0
    for b, c in np.ndindex(24, 20):
        chance = multinomial.pmf([b, c, n - b - c], n, [lost, gained, 1 - lost - gained])
        if chance > 1e-4 and (b - c) / n <= 0.01 and most_lost(b / n, c / n, n) < 0.01 - 1e-4:
            wrong += chance
    assert wrong <= 0.05


def test_the_bound_of_a_mean_is_wrong_at_most_once_in_twenty_sets() -> None:
    sets = np.random.default_rng(1).beta(18, 2, size=(300, 100))  # mean 0.9
    assert np.mean([least_mean(ious, 100) > 0.9 for ious in sets]) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize("n", [29, 60, 200])
def test_the_bound_of_a_decile_is_wrong_at_most_once_in_twenty_sets(n: int) -> None:
    """Of n uniform numbers, whose 10th percentile is 0.1, the bound is the one with m below it."""
    ranks = np.arange(1, n + 1) / n
    m = round(least_quantile(ranks, 0.1, n) * n) - 1
    assert binom.cdf(m, n, 0.1) <= 0.05 < binom.cdf(m + 1, n, 0.1)


def test_a_few_perfect_maps_prove_no_perfect_mean() -> None:
    for n in (1, 10, 300):
        assert least_mean(np.ones(n), n) ** n == pytest.approx(0.05, rel=0.3)


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


def test_gains_make_up_for_losses() -> None:
    assert difference(4, 4, 200, rng=np.random.default_rng(0)).value == 0
    assert 0 < most_lost(0.02, 0.02, 200) < most_lost(0.04, 0.0, 200)
    assert most_lost(0.0, 0.05, 200) < 0


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
