"""mIoU of score maps: by hand, against the plain restatement, and what must always hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibration.wsol_kit import plain_map, plain_miou, smooth
from edgecam_calibration.localization.scoremap import cells, scoremap
from edgecam_calibration.localization.segmentation import THRESHOLDS, Segmentation, thresholds_below

HW = (12, 17)


def images(
    seed: int, n: int, classes: int
) -> list[tuple[list[NDArray[np.float64]], list[int], NDArray[np.uint8]]]:
    """Score maps of one to three classes each, and class numbers with pixels that are left out."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        numbers = rng.permutation(np.arange(1, classes + 1))[: rng.integers(1, min(3, classes) + 1)].tolist()
        maps = [plain_map(smooth(rng, HW, 4)) for _ in numbers]
        truth = rng.choice([0, 0, 255, *range(1, classes + 1)], size=HW).astype(np.uint8)
        made.append((maps, numbers, truth))
    return made


def summed(
    made: list[tuple[list[NDArray[np.float64]], list[int], NDArray[np.uint8]]], classes: int
) -> Segmentation:
    total = Segmentation(classes)
    for maps, numbers, truth in made:
        total.add(maps, numbers, truth)
    return total


def test_miou_by_hand() -> None:
    # At 0.5: said 1 1 0 0, true 1 0 0 0 (the last is left out). Class: 1 of 2; background: 1 of 2.
    total = Segmentation(1)
    total.add([np.array([[1.0, 0.6, 0.2, 0.0]])], [1], np.array([[1, 0, 0, 255]], np.uint8))
    assert total.result(0.5, rng=np.random.default_rng(0)).value.value == pytest.approx(0.5)
    # At 0.59 too, since 0.6 is above; no threshold is high enough to part the two.
    assert total.sweep()[59] == pytest.approx(0.5)
    assert total.sweep()[0] == pytest.approx((1 / 3 + 0) / 2)  # 0.2 is above 0 as well


def test_a_pixel_at_the_threshold_is_background() -> None:
    total = Segmentation(1)
    total.add([np.array([[1.0, 0.25]])], [1], np.array([[1, 0]], np.uint8))
    assert total.sweep()[24] == pytest.approx(0.25)
    assert total.sweep()[25] == 1


def test_the_set_is_added_up_before_anything_is_divided() -> None:
    # One image right on 1 of 1 pixel, one wrong on 1 of 9: the set is right on 1 of 10.
    total = Segmentation(1)
    total.add([np.array([[1.0]])], [1], np.array([[1]], np.uint8))
    total.add([np.zeros((1, 9))], [1], np.ones((1, 9), np.uint8))
    found = total.result(rng=np.random.default_rng(0))
    assert found.per_class[1] == pytest.approx(1 / 10)
    assert found.per_class[0] == 0


def test_a_class_that_is_nowhere_is_left_out_and_counted() -> None:
    total = Segmentation(20)
    total.add([np.array([[1.0, 0.0]])], [7], np.array([[7, 0]], np.uint8))
    found = total.result(rng=np.random.default_rng(0))
    assert found.value.value == 1
    assert found.absent == 19
    assert found.per_class == {0: 1, 7: 1}


def test_a_class_that_is_called_but_never_true_counts_as_0() -> None:
    total = Segmentation(2)
    total.add([np.array([[1.0, 0.0]])], [2], np.array([[1, 0]], np.uint8))
    found = total.result(rng=np.random.default_rng(0))
    assert found.per_class == {0: 1, 1: 0, 2: 0}
    assert found.value.value == pytest.approx(1 / 3)


def test_of_maps_that_are_equally_high_the_first_wins() -> None:
    total = Segmentation(2)
    total.add([np.array([[1.0]]), np.array([[1.0]])], [2, 1], np.array([[2]], np.uint8))
    assert total.result(rng=np.random.default_rng(0)).per_class == {2: 1}


@pytest.mark.parametrize("classes", [1, 2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_miou_equals_the_plain_restatement_at_every_threshold(seed: int, classes: int) -> None:
    made = images(seed, 6, classes)
    sweep = summed(made, classes).sweep()
    assert len(sweep) == 60
    for k in range(0, 60, 7):
        assert sweep[k] == pytest.approx(plain_miou(made, k / 100), abs=1e-9)


def test_one_map_and_a_mask_are_the_same_as_class_numbers() -> None:
    rng = np.random.default_rng(1)
    first, second = Segmentation(3), Segmentation(3)
    for number in (1, 3, 3):
        score, mask = plain_map(smooth(rng, HW, 4)), rng.choice([0, 1, 2], size=HW).astype(np.uint8)
        first.add_one(thresholds_below(score, cells(score)), number, mask)
        second.add([score], [number], np.array([0, number, 255])[mask])
    assert first.sweep().tolist() == second.sweep().tolist()


@given(st.integers(0, 1000), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_miou_stays_in_bounds_and_does_not_depend_on_the_order(seed: int, classes: int) -> None:
    made = images(seed, 4, classes)
    forward, backward = summed(made, classes), summed(made[::-1], classes)
    assert ((forward.sweep() >= 0) & (forward.sweep() <= 1)).all()
    assert forward.sweep() == pytest.approx(backward.sweep())
    halves = summed(made[:1], classes)
    halves.extend(summed(made[1:], classes))
    assert halves.sweep().tolist() == forward.sweep().tolist()
    one, other = (total.result(rng=np.random.default_rng(2)) for total in (halves, forward))
    assert one.value == other.value


def test_permuting_the_classes_permutes_the_ious() -> None:
    made = images(4, 5, 3)
    to = np.arange(256)
    to[[1, 2, 3]] = [3, 1, 2]
    turned = [(maps, to[numbers].tolist(), to[truth].astype(np.uint8)) for maps, numbers, truth in made]
    rng = np.random.default_rng(0)
    before, after = (summed(each, 3).result(0.3, rng=rng).per_class for each in (made, turned))
    assert after == {int(to[k]): iou for k, iou in before.items()}


def test_the_threshold_chosen_elsewhere_is_the_one_used() -> None:
    total = Segmentation(1)
    total.add([np.array([[1.0, 0.25]])], [1], np.array([[1, 0]], np.uint8))
    rng = np.random.default_rng(0)
    assert total.choose() == 0.25
    assert total.result(rng=rng).threshold == 0.25
    given_one = total.result(0.1, rng=rng)
    assert (given_one.threshold, given_one.value.value) == (0.1, pytest.approx(0.25))
    assert given_one.best_threshold == 0.25


def test_the_thresholds_are_those_of_the_literature() -> None:
    assert THRESHOLDS.tolist() == [k / 100 for k in range(60)]
    score = scoremap(np.array([[0, 1, 25, 26, 59, 60, 100]]))
    assert thresholds_below(score, cells(score)).tolist() == [
        [int((value > THRESHOLDS).sum()) for value in score[0]]
    ]


def test_the_interval_of_miou_holds_the_truth_at_about_its_nominal_rate() -> None:
    rng = np.random.default_rng(6)

    def drawn(n: int) -> Segmentation:
        total = Segmentation(1)
        for _ in range(n):
            codes = (rng.random((5, 6)) < rng.uniform(0.2, 0.7)).astype(np.uint8)
            score = np.clip(rng.normal(0.2 + 0.2 * codes, 0.15), 0, 1)
            total.add_one(thresholds_below(score, cells(score)), 1, codes)
        return total

    truth = drawn(4000).result(0.3, rng=rng).value.value
    intervals = [drawn(60).result(0.3, rng=rng).value for _ in range(80)]
    held = sum(share.low <= truth <= share.high for share in intervals)
    assert held >= 69  # 76 in the long run, a little less of 60 images


@pytest.mark.parametrize(
    ("maps", "numbers", "truth"),
    [
        ([np.zeros((2, 2))], [1], np.zeros((2, 3), np.uint8)),
        ([np.zeros((2, 2))], [1, 2], np.zeros((2, 2), np.uint8)),
        ([np.zeros((2, 2))] * 2, [1, 1], np.zeros((2, 2), np.uint8)),
        ([np.zeros((2, 2))], [4], np.zeros((2, 2), np.uint8)),
        ([np.zeros((2, 2))], [0], np.zeros((2, 2), np.uint8)),
        ([np.zeros((2, 2))], [1], np.full((2, 2), 9, np.uint8)),
    ],
)
def test_what_does_not_fit_is_refused(
    maps: list[NDArray[np.float64]], numbers: list[int], truth: NDArray[np.uint8]
) -> None:
    with pytest.raises(ValueError, match=r"do not fit|run from 1"):
        Segmentation(3).add(maps, numbers, truth)


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing to score"):
        Segmentation(3).sweep()
