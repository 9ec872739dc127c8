"""Intervals: against hand-computed constants, and for what must hold of every interval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecam_calibration.intervals import bootstrap_mean, proportion, wilson


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


@given(st.integers(1, 5000), st.floats(0, 1))
def test_wilson_holds_the_share_stays_in_bounds_and_mirrors(n: int, share: float) -> None:
    hits = round(share * n)
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n <= high <= 1
    assert wilson(n - hits, n) == pytest.approx([1 - high, 1 - low])


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
