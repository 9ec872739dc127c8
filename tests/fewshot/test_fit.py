"""The whole of teaching but the disk: heads alone and beside old classes, their maps, and the unknown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecam_engines.errors import DataError
from edgecam_engines.head import Head
from edgecam_training.fewshot.beside import Base
from edgecam_training.fewshot.fit import Taken, fit_head
from edgecam_training.fewshot.learned import Floats
from fewshot.teach_kit import clouds

D = 9


def taken(seed: int, counts: tuple[int, ...] = (8, 8, 8), apart: float = 2.0) -> Taken:
    pooled, labels, k = clouds(seed, counts, D, apart)
    rng = np.random.default_rng(seed)
    cells = pooled[:, :, None, None] + rng.normal(0, 1, (len(pooled), D, 4, 5))
    return Taken(pooled, cells.astype(np.float16), labels, tuple(f"new {c}" for c in range(k)))


def old_base(seed: int, photos: int = 12) -> Base:
    rng = np.random.default_rng(seed + 1000)
    weight = rng.normal(size=(2, D)).astype(np.float32)
    head = Head(weight, rng.normal(size=2).astype(np.float32), ("old 0", "old 1"), 1.3)
    pooled = -3 + rng.normal(size=(photos, D))
    labels = head.logits(pooled.astype(np.float32)[:, :, None, None]).argmax(axis=1)
    return Base(head, pooled, np.asarray(labels, np.int64))


def features(pooled: Floats) -> np.ndarray:
    return np.asarray(pooled, np.float32)[:, :, None, None]


@pytest.mark.parametrize("method", ["logistic", "ridge", "ncm"])
@pytest.mark.parametrize("beside", [False, True])
def test_maps_of_linear_heads_are_exact(method: str, beside: bool) -> None:
    found = fit_head(taken(0), base=old_base(0) if beside else None, method=method)
    seen = np.random.default_rng(1).normal(3, 2, (5, D, 4, 6)).astype(np.float32)
    logits = found.head.logits(seen)
    for k in range(len(found.head.classes)):
        maps = found.head.cam(seen, [k] * 5)
        np.testing.assert_allclose(
            maps.mean(axis=(1, 2)) + found.head.bias[k], logits[:, k], rtol=1e-3, atol=1e-3
        )
    assert found.head.exact_maps


def test_a_head_that_remembers_says_that_its_maps_are_not_exact() -> None:
    found = fit_head(taken(0), method="cache")
    assert not found.head.exact_maps


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_no_answer_depends_on_the_map_that_all_classes_share(seed: int) -> None:
    with_map, without = (fit_head(taken(seed), method="ncm", shared=strength) for strength in (1.0, 0.0))
    seen = features(taken(seed).pooled)
    for found in (with_map, without):
        assert len(found.held_out)
    np.testing.assert_allclose(
        with_map.head.probabilities(with_map.head.logits(seen)),
        without.head.probabilities(without.head.logits(seen)),
        atol=2e-4,
    )
    np.testing.assert_array_equal(
        with_map.head.known(seen, with_map.head.logits(seen)),
        without.head.known(seen, without.head.logits(seen)),
    )


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_among_themselves_old_classes_are_answered_as_before(seed: int) -> None:
    base = old_base(seed)
    found = fit_head(taken(seed), base=base, max_false_reject=None)
    seen = features(np.random.default_rng(seed).normal(0, 3, (20, D)))
    before, now = base.head.logits(seen), found.head.logits(seen)
    assert found.head.classes[:2] == base.head.classes
    np.testing.assert_allclose(now[:, 1] - now[:, 0], before[:, 1] - before[:, 0], rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("seed", range(4))
def test_old_and_new_classes_are_told_apart_however_loud_the_old_head_is(seed: int) -> None:
    base, new = old_base(seed, photos=24), taken(seed)
    for loud in (0.01, 1.0, 30.0):
        head = Head(base.head.weight * np.float32(loud), base.head.bias * np.float32(loud), base.head.classes)
        found = fit_head(new, base=Base(head, base.pooled[:12], base.labels[:12]), max_false_reject=None)
        fresh = -3 + np.random.default_rng(seed + 7).normal(size=(40, D))
        assert (found.head.logits(features(fresh)).argmax(axis=1) < 2).mean() > 0.9
        assert (found.head.logits(features(new.pooled)).argmax(axis=1) >= 2).mean() > 0.9


@pytest.mark.parametrize("shots", [1, 2])
def test_one_or_two_photos_a_class_are_enough_to_be_named_beside_old_ones(shots: int) -> None:
    for seed in range(6):
        base, new = old_base(seed), taken(seed, counts=(shots,) * 3)
        found = fit_head(new, base=base)
        assert (found.head.logits(features(new.pooled)).argmax(axis=1) == 2 + new.labels).all()
        assert (found.head.logits(features(base.pooled)).argmax(axis=1) < 2).mean() > 0.8


def test_one_new_class_is_told_from_old_ones_by_their_photos() -> None:
    base, new = old_base(3), taken(3, counts=(5,))
    found = fit_head(new, base=base)
    assert found.head.classes == ("old 0", "old 1", "new 0")
    assert (found.head.logits(features(new.pooled)).argmax(axis=1) == 2).all()
    assert (found.head.logits(features(base.pooled)).argmax(axis=1) == base.labels).mean() > 0.8


def test_a_single_class_with_nothing_beside_it_is_refused_with_what_to_type() -> None:
    with pytest.raises(DataError, match="--label background"):
        fit_head(taken(0, counts=(5,)))


def test_one_photo_a_class_is_enough_and_is_told_to_be_uncalibrated() -> None:
    found = fit_head(taken(0, counts=(1, 1, 1)))
    assert not found.calibrated
    assert found.rejecting is None
    assert (found.head.logits(features(taken(0, counts=(1, 1, 1)).pooled)).argmax(axis=1) == [0, 1, 2]).all()


def test_the_temperature_is_fitted_to_photos_that_were_left_out() -> None:
    """Where classes overlap, confidence and accuracy on fresh photos are near each other."""
    found = fit_head(taken(5, counts=(60, 60, 60), apart=0.6), method="logistic", max_false_reject=None)
    rng = np.random.default_rng(5)
    centres = 0.6 * rng.normal(size=(3, D))  # those of `clouds`
    labels = rng.integers(0, 3, 3000)
    fresh = features(3 + centres[labels] + rng.normal(size=(3000, D)))
    said = found.head.probabilities(found.head.logits(fresh))
    assert said.max(axis=1).mean() == pytest.approx((said.argmax(axis=1) == labels).mean(), abs=0.06)


# -- the unknown


@pytest.mark.parametrize("seed", range(3))
def test_what_is_none_of_the_classes_is_unknown_and_known_things_seldom_are(seed: int) -> None:
    pooled, labels, _ = clouds(seed, (25, 25, 25, 25, 25), D, 4.0)
    known = labels < 4
    cells = np.repeat(np.repeat(pooled[:, :, None, None], 3, axis=2), 3, axis=3).astype(np.float16)
    shown = np.arange(len(labels)) % 25 < 20
    use = known & shown
    found = fit_head(Taken(pooled[use], cells[use], labels[use], ("a", "b", "c", "d")))
    assert found.rejecting is not None
    assert found.rejecting.caught.value > 0.7
    seen = features(pooled)
    passes = found.head.known(seen, found.head.logits(seen))
    assert passes[known & ~shown].mean() > 0.75
    assert passes[labels == 4].mean() < 0.3


def test_where_no_score_beats_chance_nothing_is_rejected() -> None:
    rng = np.random.default_rng(0)
    pooled = rng.normal(size=(40, D))
    found = fit_head(
        Taken(pooled, pooled[:, :, None, None].astype(np.float16), np.arange(40) % 4, tuple("abcd"))
    )
    assert found.rejecting is not None
    assert found.rejecting.rejection is None
    assert found.head.unknown is None


@pytest.mark.parametrize("seed", range(3))
def test_beside_old_classes_these_are_never_taken_for_unknown(seed: int) -> None:
    base = old_base(seed, photos=24)
    found = fit_head(taken(seed, counts=(12, 12, 12), apart=4.0), base=base)
    assert found.rejecting is not None
    assert found.rejecting.rejection is not None
    fresh = features(-3 + np.random.default_rng(seed + 9).normal(size=(40, D)))
    logits = found.head.logits(fresh)
    old = logits.argmax(axis=1) < 2
    assert old.mean() > 0.9
    assert found.head.known(fresh, logits)[old].all()
    new = features(taken(seed, counts=(12, 12, 12), apart=4.0).pooled)
    assert found.head.known(new, found.head.logits(new)).mean() > 0.9
