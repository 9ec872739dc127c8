"""The classification report: against scikit-learn, against hand-computed cases, and its invariants."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support
from sklearn.metrics import confusion_matrix as sklearn_confusion

from edgecam_calibration.classification import (
    ClassificationReport,
    classification_report,
    confusion_matrix,
    expected_calibration_error,
)

NAMES = ("apple", "banana", "cherry", "date")


def answers(seed: int, n: int, classes: int = 4) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels, and probabilities that are right more often than not and never tie."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    exp = np.exp(logits)
    return labels, exp / exp.sum(axis=1, keepdims=True)


def one_hot(called: list[int], classes: int) -> NDArray[np.float64]:
    return np.eye(classes)[called]


@pytest.mark.parametrize("seed", range(5))
def test_every_score_agrees_with_scikit_learn(seed: int) -> None:
    labels, probabilities = answers(seed, 60)
    called = probabilities.argmax(axis=1)
    report = classification_report(labels, probabilities, NAMES)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, called, labels=range(4), zero_division=0
    )
    assert [s.precision for s in report.per_class] == pytest.approx(precision)
    assert [s.recall for s in report.per_class] == pytest.approx(recall)
    assert [s.f1 for s in report.per_class] == pytest.approx(f1)
    assert [s.support for s in report.per_class] == support.tolist()
    assert report.top1 == pytest.approx(accuracy_score(labels, called))
    assert report.confusion.tolist() == sklearn_confusion(labels, called, labels=range(4)).tolist()
    assert report.macro_f1 == pytest.approx(f1_score(labels, called, average="macro"))


def test_macro_f1_agrees_with_scikit_learn_over_the_classes_that_have_photos() -> None:
    labels, called = np.array([0, 0, 1, 1, 1]), [0, 3, 1, 1, 0]
    report = classification_report(labels, one_hot(called, 4), NAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = f1_score(labels, called, labels=[0, 1], average="macro", zero_division=0)
    assert report.macro_f1 == pytest.approx(expected)


def test_a_small_case_done_by_hand() -> None:
    #   is: a a a a b b c      called: a a a b b c c
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    report = classification_report(labels, one_hot([0, 0, 0, 1, 1, 2, 2], 3), ("a", "b", "c"))
    assert report.n == 7
    assert report.top1 == pytest.approx(5 / 7)
    a, b, c = report.per_class
    assert (a.precision, a.recall, a.fpr, a.support) == pytest.approx((1, 3 / 4, 0, 4))
    assert (b.precision, b.recall, b.fpr, b.support) == pytest.approx((1 / 2, 1 / 2, 1 / 5, 2))
    assert (c.precision, c.recall, c.fpr, c.support) == pytest.approx((1 / 2, 1, 1 / 6, 1))
    assert [s.f1 for s in report.per_class] == pytest.approx([6 / 7, 1 / 2, 2 / 3])
    assert report.macro_f1 == pytest.approx((6 / 7 + 1 / 2 + 2 / 3) / 3)
    assert report.undefined == 0


def test_a_ratio_of_nothing_to_nothing_is_zero_and_counted() -> None:
    # Class c has no photo and was never called: its precision, recall and F1 are 0/0.
    report = classification_report(np.array([0, 1]), one_hot([0, 1], 3), ("a", "b", "c"))
    c = report.per_class[2]
    assert (c.precision, c.recall, c.f1, c.fpr, c.support) == (0, 0, 0, 0, 0)
    assert report.undefined == 3
    assert report.macro_f1 == 1


def test_a_rate_over_no_other_photos_is_counted_as_undefined() -> None:
    # All photos are of class a: a's false-positive rate has nothing below the line, as have b's P, R, F1.
    report = classification_report(np.array([0, 0]), one_hot([0, 0], 2), ("a", "b"))
    assert report.per_class[0].fpr == 0
    assert report.undefined == 4


@given(st.integers(0, 10_000), st.integers(1, 40), st.permutations(range(4)))
def test_renaming_classes_renames_the_report_and_changes_no_number(
    seed: int, n: int, order: list[int]
) -> None:
    labels, probabilities = answers(seed, n)
    before = classification_report(labels, probabilities, NAMES)
    place = np.argsort(order)  # class `order[k]` moves to column k
    after = classification_report(place[labels], probabilities[:, order], [NAMES[k] for k in order])
    assert {s.name: s for s in after.per_class} == {s.name: s for s in before.per_class}
    assert after.confusion.tolist() == before.confusion[np.ix_(order, order)].tolist()
    assert _totals(after) == pytest.approx(_totals(before))


@given(st.integers(0, 10_000), st.integers(1, 60))
def test_counts_add_up_and_shares_stay_between_zero_and_one(seed: int, n: int) -> None:
    report = classification_report(*answers(seed, n), NAMES)
    assert report.confusion.sum() == sum(s.support for s in report.per_class) == n
    # With one label a photo, the recalls weighted by their photos are the accuracy.
    assert sum(s.recall * s.support for s in report.per_class) / n == pytest.approx(report.top1)
    assert report.top1_ci95[0] <= report.top1 <= report.top1_ci95[1]
    shares = [v for s in report.per_class for v in (s.precision, s.recall, s.f1, s.fpr)]
    assert all(0 <= v <= 1 for v in [*shares, report.top1, report.macro_f1, report.ece])


def test_confusion_rows_are_what_it_is_and_columns_what_it_was_called() -> None:
    assert confusion_matrix(np.array([0, 0, 1]), np.array([1, 1, 1]), 2).tolist() == [[0, 2], [0, 1]]


def test_calibration_error_is_zero_when_each_bin_is_right_as_often_as_it_says() -> None:
    rows, labels = [], []
    for confidence, right, n in ((0.6, 6, 10), (0.8, 16, 20), (0.95, 19, 20)):
        rows += [[confidence, 1 - confidence]] * n
        labels += [0] * right + [1] * (n - right)
    assert expected_calibration_error(np.array(labels), np.array(rows)) == pytest.approx(0, abs=1e-12)


def test_calibration_error_of_a_boaster_is_how_much_he_boasts() -> None:
    rows = np.array([[0.9, 0.1]] * 10)
    labels = np.array([0] * 5 + [1] * 5)
    assert expected_calibration_error(labels, rows) == pytest.approx(0.4)


def test_bins_are_open_below_and_closed_above() -> None:
    # With two bins, 0.5 belongs to the lower one: errors of opposite sign then do not cancel.
    rows, labels = np.array([[0.5, 0.5], [0.75, 0.25]]), np.array([0, 1])
    apart = expected_calibration_error(labels, rows, bins=2)
    assert apart == pytest.approx((abs(1 - 0.5) + abs(0 - 0.75)) / 2)


def test_calibration_error_agrees_with_a_loop_over_bins() -> None:
    labels, probabilities = answers(11, 500)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    total = 0.0
    for k in range(15):
        inside = (confidence > k / 15) & (confidence <= (k + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(labels, probabilities) == pytest.approx(total)


def test_a_softmax_a_hair_above_one_falls_into_the_last_bin() -> None:
    rows = np.array([[1.0000001, 0.0]], dtype=np.float32)
    assert expected_calibration_error(np.array([0]), rows) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("labels", "probabilities", "complaint"),
    [
        (np.array([], dtype=np.int64), np.zeros((0, 2)), "one row"),
        (np.array([0]), np.zeros((1, 3)), "one row"),
        (np.array([2]), np.full((1, 2), 0.5), "Labels run"),
        (np.array([-1]), np.full((1, 2), 0.5), "Labels run"),
        (np.array([0]), np.array([[np.nan, 1.0]]), "not numbers"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        classification_report(labels, probabilities, ("a", "b"))


def _totals(report: ClassificationReport) -> list[float]:
    return [report.n, report.top1, *report.top1_ci95, report.macro_f1, report.ece, report.undefined]
