"""A against B: the exact test by hand, and differences whose intervals hold the truth."""

import json
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from edgecam_calibration.classification.paired import Comparison, compare, mcnemar

Counts = NDArray[np.int64]


def outcome(b: int, c: int, both: int = 7, neither: int = 3) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which photos A and B get right: `b` by A alone, `c` by B alone."""
    first = [True] * both + [True] * b + [False] * c + [False] * neither
    second = [True] * both + [False] * b + [True] * c + [False] * neither
    return np.array(first), np.array(second)


def engines(seed: int, n: int, right: tuple[float, float], alike: float) -> tuple[Counts, Counts, Counts]:
    """Labels of three classes and what two engines call them; `alike` is how often one draw decides both."""
    rng = np.random.default_rng(seed)
    labels, luck = rng.integers(3, size=n), rng.random(n)
    other = np.where(rng.random(n) < alike, luck, rng.random(n))
    missed = (labels + rng.integers(1, 3, size=(2, n))) % 3
    return labels, np.where(luck < right[0], labels, missed[0]), np.where(other < right[1], labels, missed[1])


def compared(
    labels: Counts, first: Counts, second: Counts, classes: int = 3, resamples: int = 500
) -> Comparison:
    return compare(labels, first, second, classes, rng=np.random.default_rng(0), resamples=resamples)


# -- McNemar


def test_mcnemar_by_hand() -> None:
    # Eight disagreements, seven for A: 2 (1 + 8) / 256, less 8 / 256 for the mid-p.
    found = mcnemar(*outcome(7, 1))
    assert (found.b, found.c) == (7, 1)
    assert found.p == pytest.approx(18 / 256)
    assert found.mid_p == pytest.approx(10 / 256)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_agrees_with_exact_fractions_and_with_scipy(b: int, c: int) -> None:
    found = mcnemar(*outcome(b, c))
    tail = sum(Fraction(comb(b + c, k), 2 ** (b + c)) for k in range(min(b, c) + 1))
    seen = Fraction(comb(b + c, b), 2 ** (b + c))
    assert found.p == pytest.approx(float(min(Fraction(1), 2 * tail)), rel=1e-9)
    assert found.mid_p == pytest.approx(float(2 * tail - seen), rel=1e-9)
    if b + c:
        assert found.p == pytest.approx(binomtest(b, b + c).pvalue, rel=1e-9)
    swapped = mcnemar(*outcome(c, b))
    assert swapped == (found.c, found.b, found.p, found.mid_p)


def test_no_disagreement_is_no_evidence() -> None:
    assert mcnemar(*outcome(0, 0)) == (0, 0, 1, 1)


def test_many_disagreements_neither_overflow_nor_lose_their_digits() -> None:
    found = mcnemar(*outcome(10_000, 10_400))
    assert found.p == pytest.approx(binomtest(10_000, 20_400).pvalue, rel=1e-6)
    assert mcnemar(*outcome(0, 5000)).p == 0  # 2 / 2**5000: below every float


def test_the_mid_p_rejects_equals_about_as_rarely_as_it_says() -> None:
    rng = np.random.default_rng(0)
    rejected = sum(mcnemar(*outcome(int(b), 40 - int(b))).mid_p < 0.05 for b in rng.binomial(40, 0.5, 2000))
    assert 0.02 < rejected / 2000 < 0.065


# -- differences


def test_differences_are_those_of_the_two_scores() -> None:
    labels, first, second = engines(0, 120, (0.9, 0.8), 0.5)
    found = compared(labels, first, second)
    assert found.top1 == ((first == labels).mean(), (second == labels).mean())
    theirs = [f1_score(labels, called, average="macro") for called in (first, second)]
    assert found.macro_f1 == pytest.approx(theirs)
    assert found.top1_difference.value == pytest.approx(found.top1[0] - found.top1[1])
    assert found.macro_f1_difference.value == pytest.approx(theirs[0] - theirs[1])
    assert found.mcnemar == mcnemar(first == labels, second == labels)
    assert found.n == found.top1_difference.n == 120


def test_what_both_get_right_or_wrong_cancels() -> None:
    """Two engines that make the same mistakes are told apart by far fewer photos than two that do not."""
    alike, apart = (compared(*engines(1, 400, (0.9, 0.85), share)).top1_difference for share in (1.0, 0.0))
    assert alike.high - alike.low < 0.6 * (apart.high - apart.low)


def test_the_interval_is_nearly_the_plain_paired_bootstrap_when_photos_are_many() -> None:
    labels, first, second = engines(2, 1500, (0.9, 0.86), 0.7)
    found = compared(labels, first, second, resamples=2000).top1_difference
    moved = (first == labels).astype(float) - (second == labels)
    rng = np.random.default_rng(1)
    means = [moved[rng.integers(1500, size=1500)].mean() for _ in range(2000)]
    assert (found.low, found.high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.003)


@pytest.mark.parametrize(
    ("n", "right", "alike"), [(80, (0.9, 0.8), 0.5), (250, (0.95, 0.93), 0.9), (60, (0.95, 0.95), 0.5)]
)
def test_intervals_hold_the_true_difference_at_their_nominal_rate(
    n: int, right: tuple[float, float], alike: float
) -> None:
    """Mistakes are even here, so the true macro F1 is the share right."""
    truth = right[0] - right[1]
    held = np.zeros(2)
    for seed in range(150):
        found = compared(*engines(seed, n, right, alike), resamples=300)
        held += [
            estimate.low <= truth <= estimate.high
            for estimate in (found.top1_difference, found.macro_f1_difference)
        ]
    assert (held / 150 > 0.9).all()


def test_the_same_answers_differ_by_nothing_but_are_not_proven_equal() -> None:
    labels, first, _ = engines(0, 50, (0.9, 0.9), 1.0)
    found = compared(labels, first, first)
    assert found.top1_difference.value == found.macro_f1_difference.value == 0
    assert -0.1 < found.top1_difference.low < 0 < found.top1_difference.high < 0.1


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 40), st.permutations(range(3)))
def test_renaming_classes_and_swapping_engines_is_told_as_such(seed: int, n: int, order: list[int]) -> None:
    labels, first, second = engines(seed, n, (0.8, 0.7), 0.5)
    before = compared(labels, first, second, resamples=20)
    name = np.array(order)
    after = compared(name[labels], name[second], name[first], resamples=20)
    assert after.top1_difference.value == pytest.approx(-before.top1_difference.value)
    assert after.macro_f1_difference.value == pytest.approx(-before.macro_f1_difference.value)
    assert (after.mcnemar.b, after.mcnemar.c) == (before.mcnemar.c, before.mcnemar.b)
    for estimate in (before.top1_difference, before.macro_f1_difference):
        assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_the_same_seed_gives_the_same_intervals() -> None:
    given_ = engines(0, 60, (0.9, 0.8), 0.5)
    assert compared(*given_) == compared(*given_)


def test_the_document_is_json() -> None:
    document = json.loads(json.dumps(compared(*engines(0, 60, (0.9, 0.8), 0.5)).document(), allow_nan=False))
    assert list(document) == [
        "n", "top1", "top1_against", "top1_difference", "top1_difference_ci95",
        "macro_f1", "macro_f1_against", "macro_f1_difference", "macro_f1_difference_ci95", "mcnemar",
    ]  # fmt: skip
    assert set(document["mcnemar"]) == {"b", "c", "p", "mid_p"}


@pytest.mark.parametrize(("labels", "answers"), [([], []), ([0, 1], [0])])
def test_answers_to_other_photos_are_not_compared(labels: list[int], answers: list[int]) -> None:
    called = np.array(answers, dtype=np.int64)
    with pytest.raises(ValueError, match="on the same photos"):
        compared(np.array(labels, dtype=np.int64), called, called)
