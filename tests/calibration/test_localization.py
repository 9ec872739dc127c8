"""The scorer: what it counts, what it prints, and that streaming, joining and choosing change no figure."""

import json
import pickle
from copy import copy
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.wsol_kit import (
    filled,
    plain_accuracies,
    plain_miou,
    plain_pxap,
    smooth,
    true_boxes,
    true_mask,
)
from edgecam_calibration.localization.baselines import centre_gaussian
from edgecam_calibration.localization.report import Localization
from edgecam_calibration.localization.scorer import Scorer, Seeds
from edgecam_calibration.localization.table import show

HW = (30, 40)
KEYS = [
    *("max_box_acc_v2", "max_box_acc", "top1_loc", "gt_known_loc", "pxap", "pointing", "miou"),
    *("threshold", "baselines", "n"),
]


class Image:
    """A map and all that can be known of what it shows."""

    def __init__(self, rng: np.random.Generator, hw: tuple[int, int] = HW) -> None:
        self.cam = smooth(rng, hw, 5)
        self.known: dict[str, Any] = {
            "boxes": true_boxes(rng, hw),
            "mask": true_mask(rng, hw),
            "label": int(rng.integers(3)),
            "right": bool(rng.random() < 0.7),
        }


def images(seed: int, n: int) -> list[Image]:
    rng = np.random.default_rng(seed)
    return [Image(rng) for _ in range(n)]


def scored(made: list[Image], *only: str) -> Scorer:
    scorer = Scorer(interval=0.01, classes=3)
    for image in made:
        known = {name: value for name, value in image.known.items() if not only or name in only}
        scorer.add(image.cam, **known)
    return scorer


def result(scorer: Scorer, seed: int = 0) -> Localization:
    return scorer.result(rng=np.random.default_rng(seed))


def numbers(document: Any) -> list[float]:
    """Every number in a document."""
    if isinstance(document, dict):
        return [number for value in document.values() for number in numbers(value)]
    return [document] if isinstance(document, float) else []


# -- the document


def test_the_document_has_the_keys_that_scripts_rely_on() -> None:
    document = result(scored(images(0, 6))).document()
    assert list(document)[: len(KEYS)] == KEYS
    assert list(document["max_box_acc"]) == ["0.3", "0.5", "0.7"]
    assert list(document["baselines"]) == ["center", "cam"]
    assert document["n"] == 6
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_every_figure_is_a_share_inside_its_interval() -> None:
    document = result(scored(images(1, 8))).document()
    for name, (low, high) in _flat(document["ci95"]).items():
        assert 0 <= low <= _flat(document)[name] <= high <= 1 + 1e-12
    assert all(0 <= number <= 1 + 1e-12 for number in numbers(document))


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, **document["max_box_acc"], "max_box_acc": document["max_box_acc"]["0.5"]}


def test_boxes_alone_give_no_figure_of_masks() -> None:
    document = result(scored(images(2, 5), "boxes")).document()
    assert document["pxap"] is document["miou"] is document["top1_loc"] is None
    assert None not in (document["max_box_acc_v2"], document["gt_known_loc"], document["pointing"])
    assert document["counts"] == {"boxes": 5, "masks": 0, "flat_maps": 0}


def test_masks_alone_give_no_figure_of_boxes() -> None:
    document = result(scored(images(2, 5), "mask")).document()
    assert document["max_box_acc"] == {"0.3": None, "0.5": None, "0.7": None}
    assert document["max_box_acc_v2"] is document["gt_known_loc"] is document["at_threshold"] is None
    assert None not in (document["pxap"], document["miou"], document["pointing"])
    assert document["threshold"] == document["best_thresholds"]["background"]


def test_each_figure_equals_its_plain_restatement() -> None:
    made = images(3, 7)
    document = result(scored(made)).document()
    cams, masks = [image.cam for image in made], [image.known["mask"] for image in made]
    expected = plain_accuracies(cams, [image.known["boxes"] for image in made], 0.01)
    assert document["max_box_acc"] == pytest.approx({k: expected[k] for k in ("0.3", "0.5", "0.7")}, abs=1e-6)
    assert document["gt_known_loc"] == pytest.approx(expected["largest"], abs=1e-6)
    assert document["pxap"] == pytest.approx(plain_pxap(cams, masks, 0.01), abs=1e-6)
    seeds = [_seed(image) for image in made]
    assert document["miou"] == pytest.approx(max(plain_miou(seeds, k / 100) for k in range(60)), abs=1e-6)


def _seed(image: Image) -> tuple[list[NDArray[Any]], list[int], NDArray[Any]]:
    number, mask = image.known["label"] + 1, image.known["mask"]
    cam = image.cam - image.cam.min()
    return [cam / cam.max()], [number], np.where(mask == 1, number, mask)


# -- the two baselines


def test_the_centre_baseline_is_what_centre_maps_score() -> None:
    made = images(4, 6)
    ours = result(scored(made)).document()
    for image in made:
        image.cam = centre_gaussian(HW)
    theirs = result(scored(made)).document()
    names = KEYS[:7]
    assert {name: theirs[name] for name in names} == ours["baselines"]["center"]
    assert theirs["baselines"]["center"] == ours["baselines"]["center"]


def test_the_plain_cam_stands_beside_when_it_is_given() -> None:
    made = images(5, 4)
    plain = result(scored(made)).figures
    document = scored(made).result(rng=np.random.default_rng(0), plain=plain).document()
    assert document["baselines"]["cam"] == {name: document[name] for name in KEYS[:7]}
    assert result(scored(made)).document()["baselines"]["cam"] is None


# -- adding up


def test_joined_scorers_give_what_one_gives_even_after_a_journey_between_processes() -> None:
    made = images(6, 9)
    whole = scored(made)
    parts = scored(made[:4])
    parts.extend(pickle.loads(pickle.dumps(scored(made[4:]))))
    assert result(parts).document() == result(whole).document()
    assert len(parts) == 9


def test_scorers_of_other_settings_are_not_joined() -> None:
    with pytest.raises(ValueError, match="same settings"):
        Scorer().extend(Scorer(interval=0.01))


def test_the_order_of_the_images_changes_no_figure() -> None:
    made = images(7, 8)
    forward, backward = (result(scored(each)).figures.values() for each in (made, made[::-1]))
    assert forward["max_box_acc"] == backward["max_box_acc"]
    assert [forward[k] for k in ("pxap", "miou", "pointing")] == pytest.approx(
        [backward[k] for k in ("pxap", "miou", "pointing")]
    )


def test_little_is_kept_of_an_image() -> None:
    few, many = (len(pickle.dumps(scored(images(8, n)))) for n in (5, 25))
    assert (many - few) / 20 < 6_000  # bytes; the map itself would be 9,600, and one of 224 x 224 400,000


def test_an_image_of_which_nothing_is_known_is_not_counted() -> None:
    scorer = scored(images(9, 3))
    assert scorer.add(np.eye(5)) is None
    assert scorer.add(np.eye(5), boxes=np.zeros((0, 4)), right=True) is None
    assert len(scorer) == 3
    with pytest.raises(ValueError, match="nothing to score"):
        result(Scorer())


def test_flat_maps_are_scored_and_counted() -> None:
    scorer = Scorer(interval=0.01)
    for cam in (np.full(HW, 2.0), np.full(HW, np.nan), filled(HW, (5, 5, 19, 19))):
        scorer.add(cam, boxes=[[5, 5, 20, 20]], mask=filled(HW, (5, 5, 19, 19)).astype(np.uint8))
    document = result(scorer).document()
    assert document["counts"]["flat_maps"] == 2
    assert document["max_box_acc_v2"] == document["pointing"] == pytest.approx(1 / 3)


def test_adding_an_image_tells_its_iou_at_each_cut() -> None:
    scorer = Scorer(interval=0.01)
    ious = scorer.add(filled(HW, (5, 5, 19, 19)), boxes=[[5, 5, 20, 20]])
    assert ious is not None
    assert ious.best.tolist() == ious.largest.tolist() == [1.0] * 100


def test_a_small_map_is_brought_to_the_size_asked_for() -> None:
    rng = np.random.default_rng(0)
    cam = rng.normal(size=(7, 9))
    large = cv2.resize(cam, HW[::-1], interpolation=cv2.INTER_CUBIC)
    truth, mask = true_boxes(rng, HW), true_mask(rng, HW)
    small, own = Scorer(hw=HW, interval=0.01), Scorer(interval=0.01)
    small.add(cam, boxes=truth, mask=mask)
    own.add(large, boxes=truth, mask=mask)
    found, expected = result(small).document(), result(own).document()
    assert found.pop("protocol") == {"threshold_interval": 0.01, "map_hw": list(HW)}
    assert expected.pop("protocol") == {"threshold_interval": 0.01, "map_hw": None}
    assert found == expected


def test_where_an_image_shows_several_classes_miou_is_measured_on_a_map_for_each() -> None:
    rng = np.random.default_rng(1)
    cams = [smooth(rng, (6, 8), 4) for _ in range(2)]
    truth = rng.choice([0, 1, 3, 255], size=HW).astype(np.uint8)
    scorer = Scorer(interval=0.01, classes=3)
    scorer.add(cams[0], seeds=Seeds(cams, [3, 1], truth))
    found = result(scorer)
    maps = []
    for cam in cams:
        large = cv2.resize(cam, HW[::-1], interpolation=cv2.INTER_CUBIC)
        maps.append((large - large.min()) / (large - large.min()).max())
    best = max(plain_miou([(maps, [3, 1], truth)], k / 100) for k in range(60))
    assert found.document()["miou"] == pytest.approx(best)
    assert found.document()["pxap"] is None
    assert found.document()["absent_classes"] == 1


# -- thresholds


def test_the_threshold_of_another_split_is_the_one_reported() -> None:
    elsewhere, here = scored(images(10, 12)), scored(images(11, 12))
    chosen = elsewhere.choose()
    found = here.result(chosen, rng=np.random.default_rng(0)).document()
    best = result(here).document()
    assert found["threshold"] == chosen.box
    assert found["at_threshold"]["chosen_on"] == "another split"
    assert best["at_threshold"]["chosen_on"] == "these images"
    assert found["at_threshold"]["box_acc_v2"] <= best["at_threshold"]["box_acc_v2"] <= best["max_box_acc_v2"]
    assert found["at_threshold"]["gt_known_loc"] <= best["gt_known_loc"]
    # What is a maximum by its name stays one; mIoU is only ever reported at a threshold.
    assert found["max_box_acc_v2"] == best["max_box_acc_v2"]
    assert found["miou"] <= best["miou"]


def test_the_accuracy_at_a_threshold_is_that_of_the_curve_there() -> None:
    scorer = scored(images(12, 10))
    found = result(scorer)
    assert found.box_curve is not None
    assert found.at_chosen is not None
    at = int(np.abs(found.box_curve.thresholds - found.chosen.box).argmin())
    assert found.at_chosen.v2.value == pytest.approx(found.box_curve.any_contour[:, at].mean())
    assert found.at_chosen.gt_known.value == pytest.approx(found.box_curve.largest[at])
    assert found.figures.boxes is not None
    assert found.figures.boxes.levels["0.5"].value == found.box_curve.any_contour[1].max()


def test_top1_is_never_above_what_is_localized_or_what_is_right() -> None:
    made = images(13, 20)
    document = result(scored(made)).document()
    right = np.mean([image.known["right"] for image in made])
    assert document["top1_loc"] <= min(document["gt_known_loc"], right)


# -- one set of maps against another


def upside_down(image: Image) -> Image:
    """The same truth, and a map that marks what the other one does not."""
    other = copy(image)
    other.cam = -image.cam
    return other


def test_the_figures_of_one_less_those_of_another_come_with_paired_intervals() -> None:
    made = images(15, 12)
    first, second = scored(made), scored([upside_down(image) for image in made])
    moved = first.against(second, rng=np.random.default_rng(0)).document()
    ours, theirs = result(first).document(), result(second).document()
    for name in ("max_box_acc_v2", "pxap"):
        assert moved[name]["difference"] == pytest.approx(ours[name] - theirs[name])
        low, high = moved[name]["ci95"]
        assert low <= moved[name]["difference"] <= high
        assert low < high


def test_where_nothing_is_known_of_boxes_or_pixels_they_are_not_compared() -> None:
    made = images(16, 5)
    boxes = scored(made, "boxes").against(scored(made, "boxes"), rng=np.random.default_rng(0))
    assert boxes.max_box_acc_v2 is not None
    assert boxes.pxap is None
    masks = scored(made, "mask").against(scored(made, "mask"), rng=np.random.default_rng(0))
    assert masks.max_box_acc_v2 is None
    assert masks.pxap is not None


def test_sets_of_different_images_are_no_pair() -> None:
    for known in ("boxes", "mask"):
        with pytest.raises(ValueError, match="same images, not on 5 and 4"):
            scored(images(17, 5), known).against(scored(images(17, 4), known), rng=np.random.default_rng(0))


# -- what is refused


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"boxes": [[5, 5, 4, 9]]}, "x0 <= x1"),
        ({"boxes": [5, 5, 9, 9]}, "rows of"),
        ({"boxes": [[5, 5, np.nan, 9]]}, "x0 <= x1"),
        ({"mask": np.zeros((3, 3), np.uint8)}, "size of its score map"),
        ({"mask": np.full(HW, 7, np.uint8)}, "255 for pixels left out"),
        ({"mask": np.zeros(HW, np.uint8), "label": 3}, "run from 1 to 3"),
    ],
)
def test_truth_that_does_not_fit_is_refused(known: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Scorer(interval=0.01, classes=3).add(smooth(np.random.default_rng(0), HW, 5), **known)


# -- the table


def test_the_table_names_every_figure_that_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    show(result(scored(images(14, 6))))
    printed = capsys.readouterr().out
    for name in ("MaxBoxAccV2", "IoU 0.7", "Top-1 Loc", "GT-known Loc", "PxAP", "pointing", "mIoU", "centre"):
        assert name in printed
    show(result(scored(images(14, 6), "boxes")))
    printed = capsys.readouterr().out
    assert "PxAP" not in printed
    assert "Top-1" not in printed
