"""A threshold for a bound on false alarms: never above it on validation, and never stricter than needed."""

import json
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecam_calibration.classification.operating_point import (
    Detection,
    choose_threshold,
    detection,
    operating_point,
)
from edgecam_calibration.intervals import wilson
from edgecam_engines.errors import DataError

scored = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=60)


def asked(
    pairs: list[tuple[int, bool]], kind: type[np.floating] = np.float32, positive: str | None = "bad"
) -> Detection:
    """Few distinct scores, so that most tie."""
    scores, truth = zip(*pairs, strict=True)
    return Detection(positive, np.array(scores, dtype=kind) / kind(8), np.array(truth))


def fpr(question: Detection, threshold: float) -> float:
    negatives = question.scores[~question.truth].astype(np.float64)
    return float((negatives >= threshold).mean())


@settings(deadline=None)
@given(scored, st.floats(0.001, 0.999), st.sampled_from([np.float32, np.float64]))
def test_the_bound_is_held_on_validation_and_nothing_smaller_would_hold_it(
    pairs: list[tuple[int, bool]], max_fpr: float, kind: type[np.floating]
) -> None:
    question = asked(pairs, kind)
    negatives = question.scores[~question.truth]
    assume(len(negatives) and max_fpr >= 1 / len(negatives))
    threshold = choose_threshold(question, max_fpr)
    assert fpr(question, threshold) <= max_fpr
    below = float(np.nextafter(kind(threshold), kind(-np.inf)))
    assert fpr(question, below) > max_fpr
    # Brute force: of all thresholds that tell scores apart, none below it holds the bound.
    for score in np.unique(question.scores):
        assert (score >= threshold) or fpr(question, float(score)) > max_fpr


@pytest.mark.parametrize("n", [10, 29, 49, 100, 300, 1000])
def test_a_rate_of_exactly_k_of_n_lets_k_through(n: int) -> None:
    question = Detection("bad", np.linspace(0, 1, n), np.zeros(n, dtype=bool))
    for k in range(1, n, max(1, n // 40)):
        assert fpr(question, choose_threshold(question, k / n)) == k / n


def test_photos_that_tie_at_the_threshold_stay_below_together() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.1], dtype=np.float32)
    question = Detection("bad", scores, np.zeros(5, dtype=bool))
    threshold = choose_threshold(question, 0.4)  # two of five, but the second to fourth are one
    assert threshold == np.nextafter(np.float32(0.5), np.float32(1))
    assert fpr(question, threshold) == 0.2


def test_a_tie_at_the_very_top_lets_nothing_pass() -> None:
    question = Detection("bad", np.ones(4, dtype=np.float32), np.array([True, False, False, False]))
    found = operating_point(question, question, max_fpr=0.5)
    assert found.threshold > 1
    assert (found.tpr, found.fpr) == (0, 0)


def test_rates_are_those_of_the_test_photos_with_wilson_intervals() -> None:
    validation = Detection("bad", np.array([0.1, 0.2, 0.3, 0.4]), np.zeros(4, dtype=bool))
    test = Detection(
        "bad", np.array([0.9, 0.35, 0.2, 0.8, 0.1, 0.3]), np.array([1, 1, 1, 0, 0, 0], dtype=bool)
    )
    found = operating_point(validation, test, max_fpr=0.25)
    assert found.threshold == np.nextafter(0.3, 1)
    assert (found.tpr, found.tpr_ci95) == (2 / 3, wilson(2, 3).tolist())
    assert (found.fpr, found.fpr_ci95) == (1 / 3, wilson(1, 3).tolist())


def test_a_kind_that_the_test_photos_lack_has_no_rate_and_an_interval_that_knows_nothing() -> None:
    validation = asked([(k, False) for k in range(9)])
    found = operating_point(validation, asked([(8, False), (1, False)]), max_fpr=0.5)
    assert (found.tpr, found.tpr_ci95, found.fpr) == (None, [0, 1], 0.5)


def test_scores_of_another_precision_are_compared_exactly() -> None:
    """A threshold one step above a float32 must not be rounded back onto it."""
    tied = np.full(4, 0.3, dtype=np.float64)
    validation = Detection("bad", tied, np.zeros(4, dtype=bool))
    threshold = choose_threshold(validation, 0.25)
    rounded = Detection("bad", np.array([threshold], dtype=np.float32), np.array([False]))
    found = operating_point(validation, rounded, max_fpr=0.25)
    assert found.fpr == float(float(rounded.scores[0]) >= threshold)


def test_the_document_has_the_keys_that_scripts_rely_on() -> None:
    question = asked([(k, k > 4) for k in range(9)])
    document = operating_point(question, question, max_fpr=0.2).document()
    assert list(json.loads(json.dumps(document, allow_nan=False))) == [
        "max_fpr", "threshold", "tpr", "fpr", "tpr_ci95", "fpr_ci95", "positive",
    ]  # fmt: skip
    assert (document["max_fpr"], document["positive"]) == (0.2, "bad")


# -- what is refused


@pytest.mark.parametrize("n", [3, 30, 99, 300, 999])
def test_a_rate_finer_than_one_photo_is_refused_and_the_one_it_names_is_taken(n: int) -> None:
    question = Detection("bad", np.linspace(0, 1, n), np.zeros(n, dtype=bool))
    with pytest.raises(DataError, match=f"on the {n} validation photos that are not bad") as caught:
        choose_threshold(question, 0.99 / n)
    named = re.search(r"--max-fpr ([\d.]+), or add", str(caught.value))
    assert named is not None
    choose_threshold(question, float(named[1]))
    needed = re.search(r"until there are (\d+)", str(caught.value))
    assert needed is not None
    enough = int(needed[1])
    assert 1 / enough <= 0.99 / n < 1 / (enough - 1)


def test_one_hundredth_of_a_hundred_is_one_and_is_taken() -> None:
    question = Detection("bad", np.linspace(0, 1, 100), np.zeros(100, dtype=bool))
    assert fpr(question, choose_threshold(question, 0.01)) == 0.01


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.0, 5.0, float("nan")])
def test_a_rate_that_is_no_share_is_refused(rate: float) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        choose_threshold(asked([(k, False) for k in range(9)]), rate)


def test_no_negatives_at_all_is_refused_with_what_to_do() -> None:
    with pytest.raises(DataError, match=r"None of the 2 validation photos are not bad(.|\n)*--positive"):
        choose_threshold(asked([(1, True), (2, True)]), 0.1)
    with pytest.raises(DataError, match=r"None of the 2 validation photos were answered wrong"):
        choose_threshold(asked([(1, True), (2, True)], positive=None), 0.1)


# -- what is asked


LABELS = np.array([0, 1, 2, 1])
ROWS = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.1, 0.1, 0.8], [0.2, 0.7, 0.1]])


def test_of_two_classes_the_first_is_positive_unless_another_is_named() -> None:
    rows: NDArray[np.float64] = np.array([[0.7, 0.3], [0.4, 0.6]])
    first = detection(np.array([0, 1]), rows, ("bad", "good"))
    assert (first.positive, first.scores.tolist(), first.truth.tolist()) == ("bad", [0.7, 0.4], [True, False])
    other = detection(np.array([0, 1]), rows, ("bad", "good"), "good")
    assert (other.positive, other.scores.tolist(), other.truth.tolist()) == (
        "good",
        [0.3, 0.6],
        [False, True],
    )


def test_of_more_classes_the_question_is_whether_the_top_answer_is_right() -> None:
    found = detection(LABELS, ROWS, ("a", "b", "c"))
    assert found.positive is None
    assert found.scores.tolist() == [0.6, 0.5, 0.8, 0.7]
    assert found.truth.tolist() == [True, False, True, True]


def test_a_named_class_is_held_against_all_others() -> None:
    found = detection(LABELS, ROWS, ("a", "b", "c"), "b")
    assert (found.positive, found.scores.tolist()) == ("b", [0.3, 0.4, 0.1, 0.7])
    assert found.truth.tolist() == [False, True, False, True]


def test_a_class_that_is_not_known_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"no class 'crakced'(.|\n)*--positive 'cracked'"):
        detection(LABELS, ROWS, ("cracked", "scratched", "good"), "crakced")
    with pytest.raises(DataError, match=r"--positive 'a' \(or b, c\)"):
        detection(LABELS, ROWS, ("a", "b", "c"), "xyz")
