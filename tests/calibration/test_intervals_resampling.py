"""Sets drawn again: what they hold on average, and the few doubtful photos among them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecam_calibration.classification.resampling import Counts, Tally, macro, resampled, shares, tally
from edgecam_calibration.classification.scores import confusion_matrix


def one_engine(seed: int, n: int, classes: int) -> tuple[Counts, Counts]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    return labels, np.where(rng.random(n) < 0.8, labels, rng.integers(classes, size=n))


def whole(labels: Counts, calls: Counts, classes: int, resamples: int = 2000) -> list[Tally]:
    """All sets at once, one Tally for each engine."""
    parts = list(resampled(labels, calls, classes, rng=np.random.default_rng(0), resamples=resamples))
    return [Tally(*map(np.concatenate, zip(*engine, strict=True))) for engine in zip(*parts, strict=True)]


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 30), st.integers(2, 5))
def test_a_tally_counts_what_a_confusion_matrix_counts(seed: int, n: int, classes: int) -> None:
    labels, called = one_engine(seed, n, classes)
    hit, support, calls = tally(confusion_matrix(labels, called, classes))
    for k in range(classes):
        assert hit[k] == ((labels == k) & (called == k)).sum()
        assert (support[k], calls[k]) == ((labels == k).sum(), (called == k).sum())


def test_shares_of_nothing_are_zero_and_stay_out_of_the_macro_mean() -> None:
    counted = Tally(*(np.array(counts) for counts in ([3, 0], [4, 0], [3, 1])))
    found = shares(counted)
    assert [values.tolist() for values in found] == [[1, 0], [0.75, 0], [6 / 7, 0], [0, 0.25]]
    assert macro(found.recall, counted.support) == 0.75


def test_sets_drawn_again_hold_on_average_what_the_set_holds_and_one_photo_more() -> None:
    labels, called = one_engine(0, 400, 4)
    (sets,) = whole(labels, called[:, None], 4)
    hit, support, calls = tally(confusion_matrix(labels, called, 4))
    assert sets.support.sum(axis=1).mean() == pytest.approx(401, rel=0.01)
    assert sets.support.mean(axis=0) == pytest.approx(support, rel=0.03)
    assert sets.hit.mean(axis=0) == pytest.approx(hit, rel=0.03)
    assert sets.called.mean(axis=0) == pytest.approx(calls, rel=0.03)


def test_top1_of_the_sets_is_spread_as_jeffreys_interval_says() -> None:
    """Of 30 photos 27 right: Beta(27.5, 3.5), whose quantiles are tabled."""
    labels = np.zeros(30, dtype=np.int64)
    labels[15:] = 1
    called = labels.copy()
    called[[0, 1, 20]] ^= 1
    (sets,) = whole(labels, called[:, None], 2, resamples=20_000)
    top1 = sets.hit.sum(axis=1) / sets.support.sum(axis=1)
    exact = np.random.default_rng(5).beta(27.5, 3.5, size=200_000)
    for part in (0.025, 0.5, 0.975):
        assert np.quantile(top1, part) == pytest.approx(np.quantile(exact, part), abs=0.005)


def test_a_pair_is_given_the_same_sets() -> None:
    labels, called = one_engine(1, 50, 3)
    first, second = whole(labels, np.column_stack([called, called]), 3)
    assert (first.support == second.support).all()
    # The same answers, but for the doubtful photos: two of 52.
    apart = np.abs(first.hit.sum(axis=1) - second.hit.sum(axis=1))
    assert 0 < apart.mean() < 2


def test_sets_come_in_chunks_of_bounded_size_and_their_number_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edgecam_calibration.classification.resampling._CHUNK", 1000)
    labels, called = one_engine(0, 40, 3)
    rng = np.random.default_rng(0)
    sizes = [len(sets.hit) for (sets,) in resampled(labels, called[:, None], 3, rng=rng, resamples=50)]
    assert sum(sizes) == 50
    assert max(sizes) < 12


def test_doubtful_photos_that_are_wrong_are_called_another_class_that_there_is() -> None:
    """Ten photos of class 2 and ninety of class 4 of five: nobody is ever called 0, 1 or 3."""
    labels = np.repeat([2, 4], [10, 90])
    (sets,) = whole(labels, labels[:, None], 5, resamples=300)
    assert (sets.called[:, [0, 1, 3]] == 0).all()
    assert sets.called.sum(axis=1) == pytest.approx(sets.support.sum(axis=1))
    assert (sets.hit.sum(axis=1) < sets.support.sum(axis=1)).mean() > 0.9
