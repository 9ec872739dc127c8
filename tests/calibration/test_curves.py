"""ROC and precision-recall curves: against scikit-learn, with ties, and the intervals of their areas."""

import json
from random import Random
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from edgecam_calibration.classification.curves import auroc_interval, class_curves, curve

scored = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40)


def arrays(pairs: list[tuple[int, bool]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Few distinct scores, so that most tie."""
    scores, positive = zip(*pairs, strict=True)
    return np.array(scores) / 6, np.array(positive)


def both_kinds(seed: int, n: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.4
    positive[:2] = True, False
    return np.round(rng.normal(size=n) + positive, 1), positive


@pytest.mark.parametrize("seed", range(4))
def test_points_agree_with_scikit_learn(seed: int) -> None:
    scores, positive = both_kinds(seed, 120)
    ours = curve(scores, positive)
    fpr, tpr, thresholds = roc_curve(positive, scores, drop_intermediate=False)
    assert (ours.fpr, ours.tpr) == (pytest.approx(fpr[1:]), pytest.approx(tpr[1:]))  # theirs add (0, 0)
    assert ours.threshold == pytest.approx(thresholds[1:])
    precision, recall, thresholds = precision_recall_curve(positive, scores)  # rising, with (1, 0) added
    assert ours.precision == pytest.approx(precision[:-1][::-1])
    assert ours.tpr == pytest.approx(recall[:-1][::-1])
    assert ours.threshold == pytest.approx(thresholds[::-1])


@pytest.mark.parametrize("seed", range(4))
def test_areas_agree_with_scikit_learn(seed: int) -> None:
    scores, positive = both_kinds(seed, 90)
    ours = curve(scores, positive)
    assert ours.auroc == pytest.approx(roc_auc_score(positive, scores))
    assert ours.average_precision == pytest.approx(average_precision_score(positive, scores))


@settings(deadline=None)
@given(scored)
def test_every_point_is_what_counting_gives(pairs: list[tuple[int, bool]]) -> None:
    scores, positive = arrays(pairs)
    found = curve(scores, positive)
    assert found.threshold.tolist() == sorted(set(scores.tolist()), reverse=True)
    for t, tpr, fpr, precision in zip(found.threshold, found.tpr, found.fpr, found.precision, strict=True):
        passed = scores >= t
        tp, fp = (passed & positive).sum(), (passed & ~positive).sum()
        assert tpr == tp / max(positive.sum(), 1)
        assert fpr == fp / max((~positive).sum(), 1)
        assert precision == tp / passed.sum()


@settings(deadline=None)
@given(scored, st.randoms())
def test_the_order_of_photos_is_no_matter_even_among_ties(
    pairs: list[tuple[int, bool]], random: Random
) -> None:
    mixed = list(pairs)
    random.shuffle(mixed)
    assert curve(*arrays(pairs)).document() == curve(*arrays(mixed)).document()


@settings(deadline=None)
@given(scored)
def test_the_area_is_the_share_of_pairs_in_order_with_ties_as_half(pairs: list[tuple[int, bool]]) -> None:
    scores, positive = arrays(pairs)
    above, below = scores[positive][:, None], scores[~positive][None]
    found = curve(scores, positive)
    if above.size and below.size:
        wanted = ((above > below) + 0.5 * (above == below)).mean()
        assert found.auroc == pytest.approx(wanted)
        # Turning the question round turns the area round.
        assert curve(-scores, positive).auroc == pytest.approx(1 - wanted)
        assert curve(scores, ~positive).auroc == pytest.approx(1 - wanted)
        assert found.auroc_ci95[0] <= wanted + 1e-9
        assert wanted - 1e-9 <= found.auroc_ci95[1]
    else:
        assert (found.auroc, found.auroc_ci95) == (None, [0, 1])


def test_without_positives_there_is_no_average_precision() -> None:
    found = curve(np.array([0.1, 0.2]), np.array([False, False]))
    assert (found.average_precision, found.average_precision_ci95) == (None, [0, 1])
    assert found.tpr.tolist() == found.precision.tolist() == [0, 0]


def test_a_perfect_order_has_areas_of_one_whose_intervals_know_how_few_photos_there_were() -> None:
    few = curve(np.array([0.9, 0.8, 0.2, 0.1]), np.array([True, True, False, False]))
    assert (few.auroc, few.average_precision) == (1, 1)
    assert few.auroc_ci95[1] == few.average_precision_ci95[1] == 1
    assert few.auroc_ci95[0] < 0.5
    assert auroc_interval(1.0, 200, 200)[0] > 0.97


def test_each_class_is_held_against_the_rest_by_its_own_probability() -> None:
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(3, size=60), rng.dirichlet([1, 1, 1], size=60)
    found = class_curves(labels, probabilities, ("a", "b", "c"))
    assert list(found) == ["a", "b", "c"]
    theirs = [roc_auc_score(labels == k, probabilities[:, k]) for k in range(3)]
    assert [c.auroc for c in found.values()] == pytest.approx(theirs)


@pytest.mark.parametrize(("positives", "negatives", "apart"), [(20, 20, 2.0), (20, 200, 1.0), (60, 60, 0.0)])
def test_the_interval_of_the_area_holds_the_truth_at_its_nominal_rate(
    positives: int, negatives: int, apart: float
) -> None:
    rng = np.random.default_rng(0)
    truth = NormalDist().cdf(apart / 2**0.5)
    positive = np.arange(positives + negatives) < positives
    held = 0
    for _ in range(400):
        low, high = curve(rng.normal(size=len(positive)) + apart * positive, positive).auroc_ci95
        held += low <= truth <= high
    assert held / 400 > 0.91


def test_the_interval_of_average_precision_holds_the_truth() -> None:
    rng = np.random.default_rng(0)

    def drawn(times: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        positive = np.tile(np.arange(230) < 30, times)
        return rng.normal(size=len(positive)) + 1.5 * positive, positive

    truth = curve(*drawn(2000)).average_precision
    assert truth is not None
    held = 0
    for _ in range(200):
        low, high = curve(*drawn(1)).average_precision_ci95
        held += low <= truth <= high
    assert held / 200 > 0.92


def test_the_document_is_json_with_few_points_and_both_ends() -> None:
    scores, positive = both_kinds(0, 3000)
    found = curve(scores + np.linspace(0, 1e-3, 3000), positive)
    document = json.loads(json.dumps(found.document(most=50), allow_nan=False))
    assert len(document["tpr"]) == len(document["threshold"]) == 50
    assert (document["fpr"][-1], document["threshold"][0]) == (1, found.threshold[0])
    assert document["auroc"] == found.auroc


@pytest.mark.parametrize(("scores", "positive"), [([], []), ([0.5], [True, False]), ([np.nan], [True])])
def test_what_cannot_be_drawn_is_refused(scores: list[float], positive: list[bool]) -> None:
    with pytest.raises(ValueError, match="A curve needs numbers"):
        curve(np.array(scores), np.array(positive, dtype=bool))
