"""Confidence against what comes true: hand-computed cases, other people's code, and simulation."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from edgecam_calibration.classification.reliability import (
    adaptive_calibration_error,
    brier_scores,
    ece_estimate,
    equal_count,
    equal_width,
    expected_calibration_error,
    log_losses,
    reliability,
)
from edgecam_calibration.intervals import wilson


def answers(seed: int, n: int, classes: int = 4) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels, and probabilities that are right more often than not and never tie."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    exp = np.exp(logits)
    return labels, exp / exp.sum(axis=1, keepdims=True)


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


@pytest.mark.parametrize("seed", range(3))
def test_calibration_error_agrees_with_torchmetrics(seed: int) -> None:
    labels, probabilities = answers(seed, 400)
    given = torch.from_numpy(probabilities), torch.from_numpy(labels)
    theirs = multiclass_calibration_error(*given, num_classes=4, n_bins=15, norm="l1").item()
    assert expected_calibration_error(labels, probabilities) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("classes", [2, 4])
def test_brier_score_and_log_loss_agree_with_scikit_learn(classes: int) -> None:
    labels, probabilities = answers(5, 300, classes)
    theirs = sum(brier_score_loss(labels == k, probabilities[:, k]) for k in range(classes))
    assert brier_scores(labels, probabilities).mean() == pytest.approx(theirs)
    assert log_losses(labels, probabilities).mean() == pytest.approx(log_loss(labels, probabilities))


def test_the_brier_score_of_the_sure_and_wrong_is_two_and_of_the_sure_and_right_none() -> None:
    sure = np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]])
    assert brier_scores(np.array([0, 1, 1]), sure).tolist() == [0, 2, 0.5]


def test_log_loss_of_a_softmax_that_rounded_to_zero_is_finite() -> None:
    rows = np.array([[1, 0]], dtype=np.float32)
    assert log_losses(np.array([1]), rows) == pytest.approx(87.3365, abs=1e-3)


# -- bins of equal number


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 20), st.integers(0, 1000))
def test_adaptive_bins_differ_by_one_photo_at_most(n: int, bins: int, seed: int) -> None:
    confidence = np.random.default_rng(seed).random(n)
    edges, placed = equal_count(confidence, bins)
    counts = np.bincount(placed, minlength=len(edges) - 1)
    assert len(counts) == min(n, bins)
    assert counts.max() - counts.min() <= 1
    assert (edges[placed] < confidence).all()
    assert (confidence <= edges[placed + 1]).all()


def test_equal_confidences_share_an_adaptive_bin_so_the_order_of_photos_is_no_matter() -> None:
    confidence = np.array([0.9] * 10 + [0.7] * 5)
    labels = np.array([0, 1] * 7 + [0])
    rows = np.column_stack([confidence, 1 - confidence])
    found = adaptive_calibration_error(labels, rows, bins=5)
    assert equal_count(confidence, 5).placed.tolist() == [1] * 10 + [0] * 5
    assert found == pytest.approx((10 * abs(5 / 10 - 0.9) + 5 * abs(3 / 5 - 0.7)) / 15)
    order = np.random.default_rng(0).permutation(15)
    assert adaptive_calibration_error(labels[order], rows[order], bins=5) == pytest.approx(found)


def test_adaptive_calibration_error_by_hand() -> None:
    # Two bins of two: (0.6 wrong, 0.7 right) and (0.8 right, 0.9 right).
    rows = np.array([[0.6, 0.4], [0.7, 0.3], [0.8, 0.2], [0.9, 0.1]])
    found = adaptive_calibration_error(np.array([1, 0, 0, 0]), rows, bins=2)
    assert found == pytest.approx((abs(1 - 1.3) + abs(2 - 1.7)) / 4)


# -- intervals


def drawn(rng: np.random.Generator, n: int, boast: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Confidences, and the chance that each is right: the logit of one is `boast` times the other's."""
    confidence = 0.3 + 0.7 * rng.beta(5, 1.2, size=n)
    return confidence, 1 / (1 + ((1 - confidence) / confidence) ** (1 / boast))


@pytest.mark.parametrize(("boast", "n"), [(1.0, 200), (1.0, 1000), (1.5, 300), (3.0, 300)])
def test_the_interval_of_calibration_error_holds_the_truth_at_its_nominal_rate(boast: float, n: int) -> None:
    """Also of a perfectly calibrated model, whose error 0 lies at the end of what an error can be."""
    rng = np.random.default_rng(2)
    confidence, chance = drawn(rng, 1_000_000, boast)
    gaps = np.bincount(equal_width(confidence, 15).placed, weights=chance - confidence)
    truth = np.abs(gaps).sum() / len(confidence)
    held = 0
    for _ in range(100):
        confidence, chance = drawn(rng, n, boast)
        right = rng.random(n) < chance
        found = ece_estimate(confidence, right, equal_width(confidence, 15), rng=rng, resamples=200)
        held += found.low <= truth + 1e-4 and truth <= found.high
    assert held >= 88  # three standard errors below 95


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 80))
def test_intervals_hold_their_values(seed: int, n: int) -> None:
    found = reliability(*answers(seed, n), rng=np.random.default_rng(0), resamples=50)
    for estimate in (found.ece, found.adaptive_ece, found.brier, found.nll):
        assert 0 <= estimate.low <= estimate.high
        assert estimate.n == n
    for estimate in (found.ece, found.adaptive_ece):
        assert estimate.low <= estimate.value <= estimate.high


def test_many_photos_are_resampled_a_chunk_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecam_calibration.classification.reliability._CHUNK", 250)
    found = reliability(*answers(0, 100), rng=np.random.default_rng(0), resamples=7)
    assert found.ece.low <= found.ece.value <= found.ece.high


# -- the diagram


def test_a_bar_tells_how_many_how_sure_and_how_often_right() -> None:
    rows = np.array([[0.62, 0.38], [0.64, 0.36], [0.95, 0.05]])
    found = reliability(np.array([0, 1, 0]), rows, rng=np.random.default_rng(0))
    low, high = found.bins
    assert (low.low, low.high) == pytest.approx((9 / 15, 10 / 15))
    assert (low.n, low.confidence, low.accuracy) == (2, pytest.approx(0.63), 0.5)
    assert low.accuracy_ci95 == wilson(1, 2).tolist()
    assert (high.n, high.confidence, high.accuracy) == (1, 0.95, 1)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 80))
def test_bars_add_up_to_the_error_they_draw(seed: int, n: int) -> None:
    labels, probabilities = answers(seed, n)
    found = reliability(labels, probabilities, rng=np.random.default_rng(0), resamples=20)
    for bars, error in ((found.bins, found.ece.value), (found.adaptive_bins, found.adaptive_ece.value)):
        assert sum(bar.n for bar in bars) == n
        assert sum(bar.n * abs(bar.accuracy - bar.confidence) for bar in bars) / n == pytest.approx(error)
    assert found.ece.value == pytest.approx(expected_calibration_error(labels, probabilities))
    assert found.adaptive_ece.value == pytest.approx(adaptive_calibration_error(labels, probabilities))


def test_the_document_is_json_and_has_an_interval_for_every_figure() -> None:
    found = reliability(*answers(0, 50), rng=np.random.default_rng(0))
    document = json.loads(json.dumps(found.document(), allow_nan=False))
    assert list(document) == [
        "n", "ece", "ece_ci95", "adaptive_ece", "adaptive_ece_ci95", "brier", "brier_ci95", "nll", "nll_ci95",
        "bins", "adaptive_bins",
    ]  # fmt: skip
    assert set(document["bins"][0]) == {"low", "high", "n", "confidence", "accuracy", "accuracy_ci95"}


def test_confidence_without_answers_is_refused() -> None:
    with pytest.raises(ValueError, match="one label for each answer"):
        expected_calibration_error(np.array([], dtype=np.int64), np.zeros((0, 2)))
