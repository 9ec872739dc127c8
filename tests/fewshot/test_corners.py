"""Telling the unknown: the closed forms against brute force, the calibration, and what becomes of a head."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecam_engines.taught.unknown import Rejection, nearness
from edgecam_training.fewshot.corners import (
    PENALTY,
    alike,
    fit_corners,
    left_out_together,
    of_other_things,
)
from edgecam_training.fewshot.learned import Floats, Labels, one_hot
from edgecam_training.fewshot.reject import fit_rejection
from edgecam_training.fewshot.ridge import balanced, left_out, solve
from edgecam_training.fewshot.space import space_of
from fewshot.teach_kit import clouds

seeds = st.integers(0, 10_000)
NONE = np.zeros((0, 9))


@settings(max_examples=15)
@given(seeds, st.sampled_from([3, 9, 40]))
def test_leaving_several_out_in_closed_form_is_fitting_without_them(seed: int, d: int) -> None:
    x, labels, k = clouds(seed, d=d)
    wanted, weights = one_hot(labels, k), np.random.default_rng(seed).uniform(0.5, 2, len(x))
    groups = alike(x, labels, most=2)
    closed = left_out_together(solve(x, wanted, weights, 0.3), wanted, groups)
    for row, said in zip(groups, closed, strict=True):
        rest = np.setdiff1d(np.arange(len(x)), row)
        without = solve(x[rest], wanted[rest], weights[rest], 0.3)
        np.testing.assert_allclose(x[row] @ without.weight.T + without.bias, said, atol=1e-8)


@settings(max_examples=15)
@given(seeds)
def test_a_photo_that_stands_in_its_group_again_counts_once(seed: int) -> None:
    x, labels, k = clouds(seed)
    solved, wanted = solve(x, one_hot(labels, k), balanced(labels, k), 0.3), one_hot(labels, k)
    twice = np.repeat(np.arange(len(x))[:, None], 3, axis=1)
    np.testing.assert_allclose(
        left_out_together(solved, wanted, twice)[:, 0], left_out(solved, wanted), atol=1e-8
    )


def test_a_photo_goes_with_the_one_most_like_it_unless_its_class_would_be_gone() -> None:
    x = np.array([[0.0], [1.0], [1.1], [5.0], [5.2]])
    np.testing.assert_array_equal(
        alike(x, np.array([0, 0, 0, 1, 1]), most=1), [[0, 1], [1, 2], [2, 1], [3, 3], [4, 4]]
    )


@settings(max_examples=15)
@given(seeds)
def test_how_known_a_left_out_photo_is_is_what_a_fit_without_it_says(seed: int) -> None:
    """But for the weights of classes and the mean length, which one photo changes a little."""
    x, labels, k = clouds(seed, counts=(8, 8, 8))
    others = -4 + np.random.default_rng(seed).normal(size=(5, 9))
    found = fit_corners(x, labels, k, others)
    length = space_of(x, labels).length
    every, of = np.vstack([x, others]) / length, np.append(labels, np.full(5, k))
    for i, row in enumerate(alike(x / length, labels)):
        rest = np.setdiff1d(np.arange(len(every)), row)
        fitted = solve(every[rest], one_hot(of[rest], k + 1), balanced(of, k + 1)[rest], PENALTY)
        said = every[i : i + 1] @ fitted.weight.T + fitted.bias
        assert found.held_out[i] == pytest.approx(float(nearness(said, found.spread).max()), abs=1e-8)


@settings(max_examples=15)
@given(seeds, st.floats(0.01, 100), st.floats(-20, 20))
def test_how_known_a_thing_is_does_not_depend_on_scale_or_origin(
    seed: int, scale: float, shift: float
) -> None:
    x, labels, k = clouds(seed)
    others, asked = np.random.default_rng(seed).normal(size=(2, 6, 9))
    one = fit_corners(x, labels, k, others)
    two = fit_corners(scale * x + shift, labels, k, scale * others + shift)
    np.testing.assert_allclose(two.score(scale * asked + shift), one.score(asked), rtol=1e-5)
    np.testing.assert_allclose(two.held_out, one.held_out, rtol=1e-5)


def test_nearness_written_out() -> None:
    said, spread = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 1.0]]), np.array([0.5, 2.0])
    np.testing.assert_allclose(nearness(said, spread), [[0, -1], [-3, -0.75]])


@pytest.mark.parametrize("loose", [1.0, 4.0])
def test_distances_count_by_how_far_a_classs_own_photos_lie(loose: float) -> None:
    """Of a class whose photos differ much, a photo that differs as much is no less known."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 30)
    x = 6 * np.eye(12)[labels] + rng.normal(size=(90, 12)) * np.array([1.0, 1.0, loose])[labels][:, None]
    found = fit_corners(x, labels, 3, np.zeros((0, 12)))
    medians = [np.median(found.held_out[labels == c]) for c in range(3)]
    assert max(medians) - min(medians) < 0.4
    assert (found.spread[2] > 2 * found.spread[:2].max()) == (loose == 4.0)


@settings(max_examples=15)
@given(seeds)
def test_what_is_written_down_says_what_was_fitted(seed: int) -> None:
    x, labels, k = clouds(seed, counts=(9, 9, 9), apart=4.0)
    found = fit_corners(x, labels, k, NONE)
    written = Rejection(-2.0, *(np.asarray(p, np.float32) for p in (found.weight, found.bias, found.spread)))
    np.testing.assert_allclose(written.score(x.astype(np.float32)), found.score(x), rtol=1e-3, atol=1e-3)


# -- what it is worth


def new_and_unknown(seed: int) -> tuple[Floats, Labels, Floats, Floats]:
    """Taught photos of 6 classes, their labels, new photos of them, and photos of 4 classes nobody taught."""
    rng = np.random.default_rng(seed)
    centres = 3.0 * rng.normal(size=(10, 24))
    labels = np.repeat(np.arange(6), 20)
    new, unknown = np.repeat(np.arange(6), 50), np.repeat(np.arange(6, 10), 50)
    taught, known, other = (centres[of] + rng.normal(size=(len(of), 24)) for of in (labels, new, unknown))
    return taught, labels, known, other


@pytest.mark.parametrize("max_false_reject", [0.02, 0.05, 0.2])
def test_about_as_many_known_photos_are_rejected_as_were_allowed(max_false_reject: float) -> None:
    passed, caught = [], []
    for seed in range(8):
        taught, labels, known, other = new_and_unknown(seed)
        found = fit_rejection(
            taught, labels, 6, NONE[:, :0].reshape(0, 24), max_false_reject=max_false_reject
        )
        assert found is not None
        assert found.rejection is not None
        passed.append((found.rejection.score(known.astype(np.float32)) >= found.rejection.threshold).mean())
        caught.append((found.rejection.score(other.astype(np.float32)) < found.rejection.threshold).mean())
        assert found.caught.n == len(labels)
    assert 1 - np.mean(passed) == pytest.approx(max_false_reject, abs=0.5 * max_false_reject + 0.02)
    assert np.mean(caught) > 0.9


def test_photos_of_other_things_help_to_notice_them() -> None:
    shares = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        centres = 0.8 * rng.normal(size=(9, 24))
        labels, other = np.repeat(np.arange(5), 12), np.repeat(np.arange(5, 9), 40)
        x, asked = (centres[of] + rng.normal(size=(len(of), 24)) for of in (labels, other))
        shown = centres[np.repeat(np.arange(5, 9), 3)] + rng.normal(size=(12, 24))
        for others in (shown[:0], shown):
            found = fit_corners(x, labels, 5, others)
            shares.append((found.score(asked) < np.quantile(found.held_out, 0.05)).mean())
    without, having = np.reshape(shares, (-1, 2)).mean(axis=0)
    assert having > without + 0.1


def test_a_photo_of_other_things_that_shows_a_taught_one_is_left_out() -> None:
    x, labels, k = clouds(3, counts=(15, 15, 15), apart=4.0)
    far = -10 + np.random.default_rng(0).normal(size=(4, 9))
    kept = of_other_things(x, labels, k, np.vstack([x[:1] + 0.01, far]))
    np.testing.assert_array_equal(kept, far)
    assert len(of_other_things(x, labels, k, NONE)) == 0


def test_what_is_named_an_old_class_is_none_of_its_business() -> None:
    corners = Rejection(-1.0, np.eye(2, dtype=np.float32), np.zeros(2, np.float32), np.ones(2, np.float32))
    pooled = np.array([[9.0, 9.0], [9.0, 9.0], [1.0, 0.1]], np.float32)  # of nothing, of nothing, of class 0
    logits = np.array([[5, 0, 0], [0, 5, 0], [0, 5, 0]], np.float32)  # one old class, two taught
    np.testing.assert_array_equal(corners.known(pooled, logits), [True, False, True])
    np.testing.assert_array_equal(corners.known(pooled, logits[:, 1:]), [False, False, True])


@pytest.mark.parametrize("counts", [(20, 20), (1, 30, 30), (6, 6, 6)])
def test_too_few_classes_or_photos_calibrate_nothing(counts: tuple[int, ...]) -> None:
    x, labels, k = clouds(0, counts)
    assert fit_rejection(x, labels, k, NONE) is None


def test_classes_of_two_photos_are_enough_if_there_are_many() -> None:
    x, labels, k = clouds(0, (2,) * 12, apart=5.0)
    found = fit_rejection(x, labels, k, NONE)
    assert found is not None
    assert np.isfinite(found.caught.value)
