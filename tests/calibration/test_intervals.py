"""Intervals: against hand-computed constants, and for what must hold of every interval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecam_calibration.intervals import bootstrap_mean, centred, f1_interval, proportion, wilson


def test_wilson_agrees_with_a_published_worked_value() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, and 15 of 148.
    assert wilson(81, 263) == pytest.approx([0.2553, 0.3662], abs=5e-5)
    assert wilson(15, 148) == pytest.approx([0.0624, 0.1605], abs=5e-5)


def test_wilson_of_none_and_of_all_is_one_sided() -> None:
    # The same table: 0 of 20 and 1 of 29; n of n is the mirror of 0 of n.
    assert wilson(0, 20) == pytest.approx([0.0, 0.1611], abs=5e-5)
    assert wilson(1, 29) == pytest.approx([0.0061, 0.1718], abs=5e-5)
    assert wilson(20, 20) == pytest.approx([1 - 0.1611, 1.0], abs=5e-5)


def test_wilson_of_nothing_knows_nothing() -> None:
    assert wilson(0, 0).tolist() == [0.0, 1.0]


def test_wilson_takes_arrays_and_gives_each_the_interval_it_has_alone() -> None:
    hits, n = np.array([[3, 0], [7, 9]]), np.array([[5, 4], [9, 9]])
    together = wilson(hits, n)
    assert together.shape == (2, 2, 2)
    for at in np.ndindex(2, 2):
        assert together[at].tolist() == wilson(int(hits[at]), int(n[at])).tolist()


@settings(deadline=None)
@given(st.integers(1, 5000), st.floats(0, 1))
def test_wilson_holds_the_share_stays_in_bounds_and_mirrors(n: int, share: float) -> None:
    hits = round(share * n)
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n <= high <= 1
    assert wilson(n - hits, n) == pytest.approx([1 - high, 1 - low])


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 200))
def test_wilson_narrows_with_more_photos(n: int, times: int) -> None:
    few, many = wilson(n, 2 * n), wilson(n * (times + 1), 2 * n * (times + 1))
    assert many[1] - many[0] < few[1] - few[0]


@pytest.mark.parametrize(("hits", "n"), [(-1, 5), (6, 5)])
def test_wilson_refuses_counts_that_cannot_be(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="between 0 and n"):
        wilson(hits, n)


def test_a_proportion_carries_its_interval_and_its_n() -> None:
    share = proportion(np.array([True] * 81 + [False] * 182))
    assert share.value == pytest.approx(81 / 263)
    assert share.ci95 == wilson(81, 263).tolist()
    assert share.n == 263


def test_a_bootstrap_is_the_same_for_the_same_seed() -> None:
    values = np.random.default_rng(1).random(50)
    first, second = (bootstrap_mean(values, rng=np.random.default_rng(7)) for _ in range(2))
    assert first == second
    assert first != bootstrap_mean(values, rng=np.random.default_rng(8))


def test_a_bootstrap_of_a_constant_has_no_width() -> None:
    assert bootstrap_mean(np.full(30, 0.25), rng=np.random.default_rng(0))[:3] == (0.25, 0.25, 0.25)


def test_a_bootstrap_of_normal_values_has_nearly_the_textbook_width() -> None:
    values = np.random.default_rng(2).normal(0.9, 0.05, size=400)
    mean = bootstrap_mean(values, rng=np.random.default_rng(3))
    textbook = 1.96 * values.std() / np.sqrt(400)
    assert mean.value == pytest.approx(values.mean())
    assert (mean.high - mean.low) / 2 == pytest.approx(textbook, rel=0.08)


def test_nothing_measured_is_an_error_and_not_a_number() -> None:
    with pytest.raises(ValueError, match="no photos"):
        proportion(np.array([], dtype=bool))
    with pytest.raises(ValueError, match="no photos"):
        bootstrap_mean(np.array([]), rng=np.random.default_rng(0))


@pytest.mark.parametrize(("share", "n"), [(0.02, 100), (0.1, 60), (0.5, 30), (0.95, 200)])
def test_wilson_holds_the_truth_at_its_nominal_rate(share: float, n: int) -> None:
    bounds = wilson(np.random.default_rng(0).binomial(n, share, size=4000), n)
    held = ((bounds[:, 0] <= share) & (share <= bounds[:, 1])).mean()
    assert 0.92 < held < 0.98  # hits are whole, so no interval of them holds exactly 0.95


@pytest.mark.parametrize(
    ("shown", "found", "called"), [(0.3, 0.8, 0.05), (0.05, 0.6, 0.02), (0.5, 0.99, 0.01)]
)
def test_the_interval_of_f1_holds_the_truth_at_its_nominal_rate(
    shown: float, found: float, called: float
) -> None:
    """One class against the rest: its share of the photos, its recall, and how often others are called so."""
    chances = [shown * found, shown * (1 - found) + (1 - shown) * called]
    truth = 2 * chances[0] / (2 * chances[0] + chances[1])
    rng = np.random.default_rng(0)
    hit, missed, _ = rng.multinomial(300, [*chances, 1 - sum(chances)], size=4000).T
    bounds = f1_interval(hit, hit + missed)
    held = ((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])).mean()
    assert 0.92 < held < 0.985


def test_the_interval_of_f1_is_that_of_its_share_of_hits_and_has_a_width_at_both_ends() -> None:
    low, high = wilson(6, 10)
    assert f1_interval(6, 10) == pytest.approx([2 * low / (1 + low), 2 * high / (1 + high)])
    assert f1_interval(10, 10)[1] == 1 > f1_interval(10, 10)[0] > 0.8
    assert f1_interval(0, 0).tolist() == [0, 1]


def test_draws_that_lie_low_are_lifted_onto_the_value() -> None:
    draws = np.linspace(0.6, 0.8, 1001)
    assert centred(0.75, draws, 40) == pytest.approx((0.75, 0.655, 0.845, 40))


def test_a_lifted_interval_stays_within_its_bounds() -> None:
    draws = np.linspace(-0.1, 0.1, 1001)
    assert centred(1.0, draws, 9)[1:3] == pytest.approx((0.905, 1.0))
    assert centred(0.0, draws, 9)[1:3] == pytest.approx((0.0, 0.095))
    assert centred(0.0, draws, 9, least=-1.0)[1:3] == pytest.approx((-0.095, 0.095))
