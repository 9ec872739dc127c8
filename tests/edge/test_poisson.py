"""The Poisson tail: against SciPy, against constants by hand, and far out."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from edgecam.decisions.poisson import fires_at, tail


def test_the_tail_is_what_it_is_by_hand() -> None:
    assert tail(0, 3.0) == 1
    assert tail(1, 0.5) == pytest.approx(1 - math.exp(-0.5), rel=1e-15)
    assert tail(2, 1.0) == pytest.approx(1 - 2 / math.e, rel=1e-15)
    assert tail(5, 0.0) == 0
    assert tail(-3, 0.0) == 1


def test_the_tail_agrees_with_scipy_over_the_whole_range() -> None:
    """Also where it is as small as numbers get, and where expected counts are large."""
    compared = 0
    for expected in np.geomspace(1e-8, 1e5, 60):
        width = math.sqrt(expected)
        around = expected + width * np.linspace(-8, 40, 40)
        for count in {*range(1, 40), *(int(c) for c in around if c > 0)}:
            exact = float(special.gammainc(count, expected))
            if exact < 1e-290:
                continue
            assert tail(count, expected) == pytest.approx(exact, rel=1e-10), (count, expected)
            assert tail(count, expected) == pytest.approx(stats.poisson.sf(count - 1, expected), rel=1e-10)
            compared += 1
    assert compared > 2500


@pytest.mark.parametrize(("count", "expected"), [(200, 3.0), (60, 0.25), (400, 100.0), (15, 15.0), (16, 2.5)])
def test_far_out_it_agrees_with_exact_arithmetic(count: int, expected: float) -> None:
    rate, term, total = Fraction(expected), Fraction(1), Fraction(0)
    for n in range(1, count + 400):
        term *= rate / n
        total += term if n >= count else 0
    logarithm = math.log(total.numerator) - math.log(total.denominator) - expected
    assert math.log(tail(count, expected)) == pytest.approx(logarithm, abs=1e-10)


@given(st.integers(0, 500), st.floats(0, 500))
def test_it_is_a_probability_that_falls_with_the_count_and_rises_with_the_rate(
    count: int, expected: float
) -> None:
    here = tail(count, expected)
    assert 0 <= here <= 1
    assert tail(count + 1, expected) <= here * (1 + 1e-12)
    assert tail(count, expected * 1.01) >= here * (1 - 1e-12)


@pytest.mark.parametrize("expected", [-1.0, math.inf, math.nan])
def test_an_expected_count_is_one(expected: float) -> None:
    with pytest.raises(ValueError, match="expected count"):
        tail(3, expected)


@given(st.floats(1e-6, 3000), st.floats(1e-12, 0.999))
def test_the_count_that_fires_is_the_smallest_that_is_rare_enough(expected: float, p: float) -> None:
    count = fires_at(expected, p)
    assert expected * stats.poisson.sf(count - 2, expected) < p * (1 + 1e-9)
    assert count == 1 or expected * stats.poisson.sf(count - 3, expected) >= p * (1 - 1e-9)
    assert tail(count, expected) < p, "rarer than for one look, since E[N; N >= k] is k P(N >= k) or more"
    assert count > expected, "so an alarm is over at a lower count than it begins at"
