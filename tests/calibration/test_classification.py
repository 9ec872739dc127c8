"""The classification report: against scikit-learn, against hand-computed cases, and its invariants."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    precision_recall_fscore_support,
)
from sklearn.metrics import confusion_matrix as sklearn_confusion
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_specificity,
)

from edgecam_calibration.classification.scores import (
    ClassificationReport,
    classification_report,
    confusion_matrix,
    macro_estimates,
)
from edgecam_calibration.intervals import Estimate, wilson

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


@pytest.mark.parametrize("seed", range(3))
def test_macro_and_micro_averages_agree_with_scikit_learn(seed: int) -> None:
    labels, probabilities = answers(seed, 80)
    called = probabilities.argmax(axis=1)
    report = classification_report(labels, probabilities, NAMES)
    for average, found in (("macro", report.macro), ("micro", report.micro)):
        wanted = precision_recall_fscore_support(labels, called, average=average)[:3]
        assert found[:3] == pytest.approx(wanted)
    assert report.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, called))


@pytest.mark.parametrize("seed", range(3))
def test_averages_and_false_positive_rates_agree_with_torchmetrics(seed: int) -> None:
    labels, probabilities = answers(seed, 80)
    report = classification_report(labels, probabilities, NAMES)
    given = torch.from_numpy(probabilities), torch.from_numpy(labels)
    assert report.top1 == pytest.approx(multiclass_accuracy(*given, 4, average="micro").item())
    assert report.balanced_accuracy == pytest.approx(multiclass_accuracy(*given, 4).item())
    assert report.macro.precision == pytest.approx(multiclass_precision(*given, 4).item())
    assert report.macro_f1 == pytest.approx(multiclass_f1_score(*given, 4).item())
    fpr = 1 - multiclass_specificity(*given, 4, average=None).numpy()
    assert [s.fpr for s in report.per_class] == pytest.approx(fpr, abs=1e-6)
    assert report.macro.fpr == pytest.approx(fpr.mean(), abs=1e-6)
    micro = 1 - multiclass_specificity(*given, 4, average="micro").item()
    assert report.micro.fpr == pytest.approx(micro, abs=1e-6)


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
    assert report.macro.recall == report.balanced_accuracy == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    assert report.macro.fpr == pytest.approx((0 + 1 / 5 + 1 / 6) / 3)
    assert report.micro == pytest.approx((5 / 7, 5 / 7, 5 / 7, 2 / 14))


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


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.permutations(range(4)))
def test_renaming_classes_renames_the_report_and_changes_no_number(
    seed: int, n: int, order: list[int]
) -> None:
    labels, probabilities = answers(seed, n)
    before = classification_report(labels, probabilities, NAMES)
    place = np.argsort(order)  # class `order[k]` moves to column k
    after = classification_report(place[labels], probabilities[:, order], [NAMES[k] for k in order])
    assert {s.name: s for s in after.per_class} == {s.name: s for s in before.per_class}
    assert {c.name: c for c in after.per_class_ci95} == {c.name: c for c in before.per_class_ci95}
    assert after.confusion.tolist() == before.confusion[np.ix_(order, order)].tolist()
    assert _totals(after) == pytest.approx(_totals(before))


@settings(deadline=None)
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


# -- how sure


def test_each_share_of_a_class_has_the_wilson_interval_of_its_own_counts() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    report = classification_report(labels, one_hot([0, 0, 0, 1, 1, 2, 2], 3), ("a", "b", "c"))
    b = report.per_class_ci95[1]
    assert (b.name, b.precision_ci95, b.recall_ci95, b.fpr_ci95) == (
        "b",
        wilson(1, 2).tolist(),
        wilson(1, 2).tolist(),
        wilson(1, 5).tolist(),
    )


def test_of_a_class_that_was_neither_shown_nor_called_nothing_is_known() -> None:
    report = classification_report(np.array([0, 1]), one_hot([0, 1], 3), ("a", "b", "c"))
    c = report.per_class_ci95[2]
    assert c.precision_ci95 == c.recall_ci95 == c.f1_ci95 == [0, 1]
    assert c.fpr_ci95 == wilson(0, 2).tolist()


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_every_interval_of_a_class_holds_its_value(seed: int, n: int) -> None:
    report = classification_report(*answers(seed, n), NAMES)
    for score, sure in zip(report.per_class, report.per_class_ci95, strict=True):
        shares = (score.precision, score.recall, score.f1, score.fpr)
        for value, (low, high) in zip(shares, sure[1:], strict=True):
            assert 0 <= low <= value + 1e-12
            assert value - 1e-12 <= high <= 1


def population(right: float, classes: int) -> NDArray[np.float64]:
    """Chances (classes, classes) of being one and called another; mistakes are spread evenly."""
    chances = np.full((classes, classes), (1 - right) / (classes - 1))
    np.fill_diagonal(chances, right)
    return chances / classes


@pytest.mark.parametrize(("right", "classes", "n"), [(0.98, 2, 50), (0.9, 4, 200), (0.7, 3, 90)])
def test_the_interval_of_macro_f1_holds_the_truth_at_its_nominal_rate(
    right: float, classes: int, n: int
) -> None:
    """Mistakes are even here, so the true macro F1 is the share right."""
    rng = np.random.default_rng(1)
    chances = population(right, classes)
    held = 0
    for _ in range(200):
        confusion = rng.multinomial(n, chances.ravel()).reshape(classes, classes)
        found = macro_estimates(confusion, rng=rng, resamples=300).f1
        held += found.low <= right <= found.high
    assert held / 200 > 0.91  # three standard errors below 0.95 is 0.904


def test_an_engine_without_a_mistake_is_not_certain() -> None:
    sure = macro_estimates(np.diag([25, 25]), rng=np.random.default_rng(0))
    assert sure.f1.value == sure.f1.high == 1
    # Wilson gives 50 of 50 a low end of 0.93.
    assert 0.9 < sure.f1.low < 0.97
    assert sure.fpr.value == sure.fpr.low == 0 < sure.fpr.high < 0.1


def test_macro_estimates_repeat_with_their_seed_and_narrow_with_photos() -> None:
    few = np.array([[40, 10], [5, 45]])
    first, again = (macro_estimates(few, rng=np.random.default_rng(3)) for _ in range(2))
    many = macro_estimates(few * 25, rng=np.random.default_rng(3))
    assert first == again
    for narrow, wide in zip(many, first, strict=True):
        assert narrow.value == pytest.approx(wide.value)
        assert _width(narrow) == pytest.approx(_width(wide) / 5, rel=0.2)


def test_macro_estimates_leave_out_classes_without_photos() -> None:
    alone = macro_estimates(np.array([[8, 2], [1, 9]]), rng=np.random.default_rng(0)).f1
    beside = macro_estimates(np.array([[8, 2, 0], [1, 9, 0], [0, 0, 0]]), rng=np.random.default_rng(0)).f1
    assert alone == pytest.approx(beside)


def test_macro_estimates_of_one_class_alone_are_finite() -> None:
    sure = macro_estimates(np.array([[6, 2], [0, 0]]), rng=np.random.default_rng(0))
    assert sure.recall.value == 0.75
    assert 0 < sure.recall.low < 0.75 < sure.recall.high < 1
    assert sure.fpr[:3] == (0, 0, 0)  # there is no photo of another class: 0/0 in every set


def test_macro_estimates_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="no photos"):
        macro_estimates(np.zeros((2, 2), dtype=np.int64), rng=np.random.default_rng(0))


def _width(estimate: Estimate) -> float:
    return estimate.high - estimate.low


def _totals(report: ClassificationReport) -> list[float]:
    averages = [*report.macro, *report.micro]
    return [
        report.n,
        report.top1,
        *report.top1_ci95,
        *averages,
        report.macro_f1,
        report.ece,
        report.undefined,
    ]
