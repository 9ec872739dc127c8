"""The row that all classes share changes maps alike and no answer; it is scikit-learn's ridge, rescaled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from edgecam_calibration.shared_map import RIDGE, fit_shared
from edgecam_engines.head import Head

CLASSES, D = 4, 6


def scene(seed: int, n: int = 12) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    """Features (n, D, 5, 7), labels (n,) and a class head's rows (CLASSES, D)."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0.3, 1, (n, D, 5, 7)).astype(np.float32)
    return features, rng.integers(0, CLASSES, n), rng.normal(0, 1, (CLASSES, D))


@given(st.integers(0, 10_000), st.floats(0.1, 5))
def test_no_probability_changes_and_every_map_gets_the_same_more(seed: int, strength: float) -> None:
    features, labels, weight = scene(seed)
    names = tuple("abcd")
    bias = np.arange(CLASSES, dtype=np.float32)
    shared = fit_shared([(features, labels)], weight, strength)
    before = Head(weight.astype(np.float32), bias, names)
    after = Head((weight + shared.row).astype(np.float32), (bias + shared.bias).astype(np.float32), names)
    np.testing.assert_allclose(
        after.probabilities(after.logits(features)), before.probabilities(before.logits(features)), atol=1e-5
    )
    more = [
        after.cam(features, np.full(len(features), k)) - before.cam(features, np.full(len(features), k))
        for k in range(CLASSES)
    ]
    np.testing.assert_allclose(more, np.broadcast_to(more[0], np.shape(more)), atol=1e-4)
    cams = after.cam(features, labels)
    means = cams.mean(axis=(1, 2)) + after.bias[labels]
    np.testing.assert_allclose(
        means, after.logits(features)[np.arange(len(labels)), labels], rtol=1e-4, atol=1e-4
    )


def test_it_is_scikit_learns_ridge_of_the_norm_scaled_to_the_maps_of_the_classes_shown() -> None:
    features, labels, weight = scene(1, n=40)
    cells = features.transpose(0, 2, 3, 1).reshape(-1, D).astype(np.float64)
    ridge = RIDGE * cells.var(axis=0).mean() * len(cells)
    fitted = Ridge(alpha=ridge).fit(cells, np.linalg.norm(cells, axis=1))
    shared = fit_shared([(features, labels)], weight, 1.5)
    own = np.einsum("nd,ndhw->nhw", weight[labels], features)
    assert shared.row / np.linalg.norm(shared.row) == pytest.approx(
        fitted.coef_ / np.linalg.norm(fitted.coef_), abs=1e-6
    )
    assert (cells @ shared.row).std() == pytest.approx(1.5 * own.std())
    assert (cells @ shared.row).mean() + shared.bias == pytest.approx(0, abs=1e-9)


@given(st.integers(0, 1000), st.integers(1, 11))
def test_batches_may_be_cut_anywhere(seed: int, cut: int) -> None:
    features, labels, weight = scene(seed)
    whole = fit_shared([(features, labels)], weight, 1.0)
    parts = fit_shared([(features[:cut], labels[:cut]), (features[cut:], labels[cut:])], weight, 1.0)
    np.testing.assert_allclose(parts.row, whole.row, rtol=1e-6, atol=1e-9)
    assert parts.bias == pytest.approx(whole.bias)


@pytest.mark.parametrize("case", ["off", "no photo", "same everywhere", "no map"])
def test_where_there_is_nothing_to_fit_it_is_zero(case: str) -> None:
    features, labels, weight = scene(2)
    batches = [] if case == "no photo" else [(features, labels)]
    if case == "same everywhere":
        batches = [(np.ones_like(features), labels)]
    shared = fit_shared(batches, weight * (case != "no map"), 0.0 if case == "off" else 1.0)
    assert not shared.row.any()
    assert shared.bias == 0


def test_a_thing_that_classes_tell_by_a_part_stands_out_whole() -> None:
    """Channel 0 is on all over the thing, channel k on one cell of it, where all evidence of class k lies."""
    rng = np.random.default_rng(0)
    features = rng.normal(0, 0.02, (60, D, 8, 8)).astype(np.float32)
    labels = np.arange(60) % 2
    thing = np.zeros((8, 8), bool)
    thing[2:6, 3:7] = True
    features[:, 0, thing] += 2
    features[np.arange(60), 1 + labels, 2, 3] += 2
    weight = np.zeros((2, D))
    weight[0, 1], weight[1, 2] = 1, 1
    weight -= weight.mean(axis=0)
    shared = fit_shared([(features, labels)], weight, 1.0)

    def standing_out(rows: NDArray[np.float64]) -> float:
        """The share of the thing's cells that are higher than every cell of the ground."""
        maps = np.einsum("nd,ndhw->nhw", rows[labels], features)
        return float(np.mean([(one[thing] > one[~thing].max()).mean() for one in maps]))

    assert standing_out(weight) < 0.2
    assert standing_out(weight + shared.row) > 0.99
