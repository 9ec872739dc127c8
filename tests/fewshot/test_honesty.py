"""Influence, learning curve and backgrounds: against brute force, and on scenes whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecam_engines.head import Head
from edgecam_training.fewshot.background import backgrounds, border_of
from edgecam_training.fewshot.curve import Curve, learning_curve, needs
from edgecam_training.fewshot.influence import harms, pulls
from edgecam_training.fewshot.learned import one_hot
from edgecam_training.fewshot.ridge import balanced, solve
from fewshot.teach_kit import Floats, Labels, clouds


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.sampled_from([3, 30]))
def test_harm_is_what_leaving_each_pair_out_by_hand_gives(seed: int, d: int) -> None:
    x, labels, k = clouds(seed, counts=(3, 4, 3), d=d)
    wanted, weights = one_hot(labels, k), balanced(labels, k)
    solved = solve(x, wanted, weights, 0.5)
    found = harms(solved.residual, solved.free)

    def error(i: int, out: set[int]) -> float:
        rest = [each for each in range(len(x)) if each not in out]
        fitted = solve(x[rest], wanted[rest], weights[rest], 0.5)
        off = wanted[i] - x[i] @ fitted.weight.T - fitted.bias
        return float(weights[i] * (off**2).sum())

    for j in range(len(x)):
        others = [i for i in range(len(x)) if i != j]
        by_hand = sum(error(i, {i}) - error(i, {i, j}) for i in others) / len(others)
        assert found[j] == pytest.approx(by_hand, abs=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_a_photo_under_a_wrong_name_comes_first_and_is_the_only_suspect(seed: int) -> None:
    x, labels, k = clouds(seed, counts=(10, 10, 10), d=30, apart=1.5)
    labels[4] = 1
    found = pulls(x, labels, k)
    assert found[0].photo == 4
    assert found[0].called == 0
    assert [pull.photo for pull in found if pull.suspicious] == [4]


@pytest.mark.parametrize("seed", range(5))
def test_photos_under_their_right_names_are_no_suspects(seed: int) -> None:
    x, labels, k = clouds(seed, counts=(10, 10, 10), d=30, apart=1.5)
    assert not any(pull.suspicious for pull in pulls(x, labels, k))


def test_errors_fall_with_the_number_of_photos() -> None:
    x, labels, k = clouds(0, counts=(40, 40, 40), d=20, apart=0.5)
    found = learning_curve(x, labels, k, np.random.default_rng(0))
    assert found.shots == [10, 20, 30]
    assert found.errors[0] > found.errors[-1] > 0
    assert 0.1 <= found.slope <= 1.5


def test_what_a_class_needs_follows_from_the_slope() -> None:
    """At slope 1/2, an error 2.25 times too high takes 2.25^2 times the photos."""
    labels = np.repeat([0, 1], 19)
    called = labels.copy()
    called[:4] = 1  # (4 + 1/2) / 20 = 0.225, and 0.1 is wanted
    (need,) = needs(Curve([5, 10], [0.3, 0.2], 0.5), called, labels, 2)
    assert need.label == 0
    assert need.error == pytest.approx(4 / 19)
    assert need.more == int(np.ceil(19 * (2.25**2 - 1)))
    (hopeless,) = needs(Curve([5, 10], [0.3, 0.2], 0.2), called, labels, 2)
    assert hopeless.more is None
    assert needs(Curve([5, 10], [0.3, 0.2], 0.5), labels, labels, 2) == []
    assert needs(Curve([], [], 0.0), called, labels, 2) == []


def scene(telling: str) -> tuple[np.ndarray, Labels, Head]:
    """Cells of two classes that differ in a channel on the border, or on the thing in the middle."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 8)
    cells = rng.normal(0, 0.3, (16, 4, 6, 6))
    where = border_of((6, 6)) if telling == "border" else ~border_of((6, 6))
    cells[:, 0, 2:4, 2:4] += 2
    for i, label in enumerate(labels):
        cells[i, 1 + label][where] += 1.5
    weight = np.zeros((2, 4), np.float32)
    weight[0, 1], weight[1, 2] = 1, 1
    return cells.astype(np.float16), labels, Head(weight, np.zeros(2, np.float32), ("a", "b"))


@pytest.mark.parametrize("telling", ["border", "thing"])
def test_classes_that_their_border_tells_are_warned_of_and_others_are_not(telling: str) -> None:
    cells, labels, head = scene(telling)
    found = backgrounds(cells, labels, 2, head, np.array([0, 1]))
    assert [each.warned for each in found] == [telling == "border"] * 2
    assert all(each.by_whole > 0.9 for each in found)


def test_a_map_of_one_cell_has_no_border_to_ask() -> None:
    head = Head(np.eye(2, dtype=np.float32), np.zeros(2, np.float32), ("a", "b"))
    flat: Floats = np.ones((4, 2, 1, 1))
    assert backgrounds(flat.astype(np.float16), np.array([0, 0, 1, 1]), 2, head, np.array([0, 1])) == []
