"""Every way to fit a head, against brute force and scikit-learn."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge

from edgecam_engines.errors import DataError
from edgecam_training.fewshot import softmax
from edgecam_training.fewshot.cache import SCALE, add_keys, fit_cache
from edgecam_training.fewshot.choose import METHODS, choose
from edgecam_training.fewshot.learned import Keys, folds_of, held_out_loss, judged, one_hot
from edgecam_training.fewshot.logistic import C, fit_logistic
from edgecam_training.fewshot.logits import logits_of, remembered
from edgecam_training.fewshot.ncm import fit_ncm, means_of
from edgecam_training.fewshot.ridge import PENALTIES, balanced, fit_ridge, left_out, solve
from edgecam_training.fewshot.space import space_of
from fewshot.teach_kit import clouds

seeds = st.integers(0, 10_000)


def test_teaching_imports_no_torch() -> None:
    code = (
        "import sys, edgecam.commands.teach, edgecam.commands.teach_page; "
        "print([name for name in ('torch', 'torchvision', 'scipy', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- ridge


@settings(max_examples=15)
@given(seeds, st.sampled_from([3, 9, 40]), st.sampled_from([0.01, 0.3, 5.0]))
def test_leaving_one_out_in_closed_form_is_fitting_without_it(seed: int, d: int, penalty: float) -> None:
    x, labels, k = clouds(seed, d=d)
    wanted, weights = one_hot(labels, k), np.random.default_rng(seed).uniform(0.5, 2, len(x))
    closed = left_out(solve(x, wanted, weights, penalty), wanted)
    for i in range(len(x)):
        rest = np.arange(len(x)) != i
        without = solve(x[rest], wanted[rest], weights[rest], penalty)
        np.testing.assert_allclose(x[i] @ without.weight.T + without.bias, closed[i], atol=1e-8)


@settings(max_examples=15)
@given(seeds, st.sampled_from([3, 9, 40]))
def test_the_primal_and_the_dual_system_are_one(seed: int, d: int) -> None:
    x, labels, k = clouds(seed, d=d)
    both = [solve(x, one_hot(labels, k), balanced(labels, k), 0.3, dual=dual) for dual in (True, False)]
    for first, second in zip(*both, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-8)


@settings(max_examples=15)
@given(seeds)
def test_ridge_is_scikit_learns_with_the_same_weights(seed: int) -> None:
    x, labels, k = clouds(seed)
    wanted, weights = one_hot(labels, k), balanced(labels, k)
    theirs = Ridge(alpha=0.7).fit(x, wanted, sample_weight=weights)
    ours = solve(x, wanted, weights, 0.7)
    np.testing.assert_allclose(ours.weight, theirs.coef_, atol=1e-8)
    np.testing.assert_allclose(ours.bias, theirs.intercept_, atol=1e-8)


def test_classes_weigh_alike_however_many_photos_they_have() -> None:
    labels = np.array([0, 0, 0, 1])
    weights = balanced(labels, 2)
    assert weights.sum() == pytest.approx(4)
    assert weights[:3].sum() == pytest.approx(weights[3])


# -- logistic regression


@settings(max_examples=15)
@given(seeds, st.sampled_from([3, 40]), st.sampled_from([0.5, 10.0, 100.0]))
def test_the_weights_are_those_of_scikit_learn(seed: int, d: int, c: float) -> None:
    x, labels, k = clouds(seed, d=d)
    basis = softmax.basis_of(x)
    ours = (basis.directions.T @ softmax.fit(basis, one_hot(labels, k), c=c, tolerance=1e-9)[0]).T
    theirs = LogisticRegression(C=c, fit_intercept=False, tol=1e-12, max_iter=20_000).fit(x, labels)
    np.testing.assert_allclose(ours, theirs.coef_ - theirs.coef_.mean(axis=0), atol=2e-4)


@settings(max_examples=15)
@given(seeds)
def test_fits_side_by_side_are_those_fitted_alone(seed: int) -> None:
    x, labels, k = clouds(seed)
    basis, wanted = softmax.basis_of(x), one_hot(labels, k)
    used = np.stack([np.arange(len(x)) % 3 != fold for fold in range(3)])
    together = softmax.fit(basis, wanted, c=C, used=used, tolerance=1e-9)
    for fold, seen in enumerate(used):
        alone_basis = softmax.basis_of(x[seen])
        alone = alone_basis.directions.T @ softmax.fit(alone_basis, wanted[seen], c=C, tolerance=1e-9)[0]
        np.testing.assert_allclose(basis.directions.T @ together[fold], alone, atol=1e-5)


@settings(max_examples=15)
@given(seeds)
def test_a_basis_gives_the_photos_back(seed: int) -> None:
    for d in (4, 40):
        x, _, _ = clouds(seed, d=d)
        basis = softmax.basis_of(x)
        np.testing.assert_allclose(basis.coordinates @ basis.directions, x, atol=1e-6)
        np.testing.assert_allclose(
            basis.directions @ basis.directions.T, np.eye(len(basis.spread)), atol=1e-6
        )


# -- all of them


@pytest.mark.parametrize("method", ["logistic", "ncm"])
@settings(max_examples=15)
@given(seed=seeds)
def test_what_is_said_of_a_left_out_photo_is_what_a_head_without_it_says(method: str, seed: int) -> None:
    """But for how far photos are from the mean, by which all logits of a photo are scaled alike."""
    x, labels, k = clouds(seed, counts=(3, 3, 3))
    assert (np.bincount(folds_of(labels)) == 1).all()
    found = METHODS[method](x, labels, k)
    space = space_of(x, labels)
    for i in range(len(x)):
        rest = np.arange(len(x)) != i
        without = METHODS[method](x[rest], labels[rest], k, hold_out=False)
        own = space_of(x[rest], labels[rest]).stretch(x[i : i + 1])
        said = logits_of(without, x[i : i + 1]) / own
        np.testing.assert_allclose(found.held_out[i] / space.stretch(x[i : i + 1])[0], said[0], atol=0.05)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15)
@given(seed=seeds)
def test_a_removed_photo_leaves_the_head_as_if_it_had_never_been_there(method: str, seed: int) -> None:
    x, labels, k = clouds(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))  # taught in another order, with one more that is taken out again
    kept = np.sort(order[1:])
    first = METHODS[method](x[kept], labels[kept], k)
    again = METHODS[method](x[np.delete(np.arange(len(x)), order[0])], np.delete(labels, order[0]), k)
    np.testing.assert_array_equal(first.weight, again.weight)
    np.testing.assert_array_equal(first.bias, again.bias)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15)
@given(seed=seeds, scale=st.floats(0.01, 100), shift=st.floats(-50, 50))
def test_no_label_depends_on_the_scale_or_the_origin_of_features(
    method: str, seed: int, scale: float, shift: float
) -> None:
    x, labels, k = clouds(seed)
    asked = x + np.random.default_rng(seed + 1).normal(size=x.shape)
    one = logits_of(METHODS[method](x, labels, k), asked)
    two = logits_of(METHODS[method](scale * x + shift, labels, k), scale * asked + shift)
    sure = np.sort(one, axis=1)[:, -1] - np.sort(one, axis=1)[:, -2] > 0.02 * np.abs(one).max()
    assert (one.argmax(axis=1) == two.argmax(axis=1))[sure].all()


@pytest.mark.parametrize("fit", [fit_ncm, fit_logistic])
@settings(max_examples=15)
@given(seed=seeds)
def test_the_head_that_ships_names_what_the_fit_on_the_sphere_names(fit: object, seed: int) -> None:
    """Scaling each photo to length 1 is left out of what ships, and no label knows."""
    x, labels, k = clouds(seed)
    space = space_of(x, labels)
    found = fit(x, labels, k)  # type: ignore[operator]
    rows = found.weight * space.length
    np.testing.assert_array_equal((space.unit(x) @ rows.T).argmax(axis=1), logits_of(found, x).argmax(axis=1))


def test_class_means_are_nearest_by_angle() -> None:
    x, labels, k = clouds(3)
    space = space_of(x, labels)
    means = means_of(space.unit(x), labels, k)
    for c in range(k):
        by_hand = space.unit(x)[labels == c].mean(axis=0)
        np.testing.assert_allclose(means[c], by_hand / np.linalg.norm(by_hand))
    np.testing.assert_allclose(fit_ncm(x, labels, k).weight, means / space.length)


def test_the_mean_of_a_space_counts_classes_not_photos() -> None:
    x = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [4.0, 8.0]])
    np.testing.assert_allclose(space_of(x, np.array([0, 0, 0, 1])).mean, [2, 4])


# -- the one that remembers


def test_remembering_with_no_weight_is_the_class_means() -> None:
    x, labels, k = clouds(5)
    found = fit_cache(x, labels, k)
    assert found.keys is not None
    quiet = found._replace(keys=found.keys._replace(weight=0.0))
    np.testing.assert_allclose(logits_of(quiet, x), SCALE * logits_of(fit_ncm(x, labels, k), x))


def test_remembering_very_sharply_is_the_nearest_photo() -> None:
    x, labels, k = clouds(6)
    space = space_of(x, labels)
    keys = Keys(space, space.unit(x), one_hot(labels, k), 1.0, 4000.0)
    asked = space.unit(x + 0.1 * np.random.default_rng(0).normal(size=x.shape))
    nearest = (asked @ keys.rows.T).argmax(axis=1)
    scores = np.log(np.maximum(add_keys(keys, asked), 1e-300))
    sure = scores.max(axis=1) > -600
    assert sure.any()
    np.testing.assert_array_equal(scores.argmax(axis=1)[sure], labels[nearest][sure])


def test_what_the_engine_adds_is_what_was_fitted() -> None:
    x, labels, k = clouds(7)
    found = fit_cache(x, labels, k)
    shipped = remembered(found.keys)
    assert shipped is not None
    linear = x @ found.weight.T + found.bias
    np.testing.assert_allclose(linear + shipped.logits(x.astype(np.float32)), logits_of(found, x), atol=1e-3)


# -- choosing


def test_a_method_that_there_is_not_is_refused_with_those_there_are() -> None:
    x, labels, k = clouds(0)
    with pytest.raises(DataError, match="logistic, ridge, ncm, cache"):
        choose(x, labels, k, "forest")


def test_with_few_photos_the_first_stays_and_nothing_else_is_tried() -> None:
    x, labels, k = clouds(0, counts=(3, 3, 3))
    assert choose(x, labels, k).learned.method == "logistic"
    assert set(choose(x, labels, k).accuracy) == {"logistic"}


@pytest.mark.parametrize("counts", [(1, 1, 1), (1, 1, 4)])
def test_single_photos_are_class_means_unless_another_method_is_asked_for(counts: tuple[int, ...]) -> None:
    x, labels, k = clouds(0, counts=counts)
    assert choose(x, labels, k).learned.method == "ncm"
    assert choose(x, labels, k, "ridge").learned.method == "ridge"
    assert (choose(x, labels, k).accuracy == {}) == (max(counts) == 1)


def test_a_clear_lead_changes_the_method_and_a_slight_one_does_not() -> None:
    for seed in range(6):
        x, labels, k = clouds(seed, counts=(12, 12, 12), apart=0.7)
        found = choose(x, labels, k)
        best = max(found.accuracy.values())
        mine = found.accuracy[found.learned.method]
        # One standard error of a difference of shares is at most this.
        assert mine >= best - 1 / np.sqrt(len(x))
        assert set(found.accuracy) == set(METHODS)
    one_line = np.r_[np.linspace(1, 2, 12), np.linspace(5, 6, 12), np.linspace(9, 10, 12)][:, None]
    x = np.hstack([one_line, np.random.default_rng(0).normal(0, 0.01, (36, 2))])
    three = choose(x, np.repeat(np.arange(3), 12), 3)  # in a row: angles cannot tell the middle one
    assert three.accuracy[three.learned.method] == max(three.accuracy.values())


def test_only_photos_whose_class_has_another_are_judged() -> None:
    np.testing.assert_array_equal(judged(np.array([0, 1, 1, 2])), [False, True, True, False])
    assert held_out_loss(np.zeros((2, 2)), np.array([0, 1])) == float("inf")


def test_the_penalty_is_the_one_that_surprises_left_out_photos_least() -> None:
    for seed, d, apart in ((1, 60, 0.4), (1, 3, 3.0)):
        x, labels, k = clouds(seed, counts=(8, 8, 8), d=d, apart=apart)
        x_scaled = x / space_of(x, labels).length
        solved = {p: solve(x_scaled, one_hot(labels, k), balanced(labels, k), p) for p in PENALTIES}
        losses = {p: held_out_loss(left_out(each, one_hot(labels, k)), labels) for p, each in solved.items()}
        assert fit_ridge(x, labels, k).setting == f"penalty {min(losses, key=losses.__getitem__):g}"
