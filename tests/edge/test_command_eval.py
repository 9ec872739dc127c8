"""`edgecam eval` with the fixed engine, whose maps mark a coloured square at a place that is known."""

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.loop_kit import CLASSES, make_bundle, scene
from edgecam.commands.evaluate import Asked, Known, evaluate
from edgecam_engines.errors import DataError, OutputError
from edgecam_engines.head import Head

HW = (240, 320)
BOX = (40, 60, 119, 179)  # of the square in `scene`, both corners inside
EACH = 4


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "colours.edgecam")


def make_data(folder: Path, *, wrong: bool) -> Path:
    """DATA/val and DATA/test with masks and boxes; with `wrong`, one photo of each is in a wrong folder."""
    for part in ("val", "test"):
        rows = ["image_id,x0,y0,x1,y1"]
        for kind, name in enumerate(CLASSES):
            for number in range(EACH):
                shown = (kind + 1) % 3 if wrong and (kind, number) == (0, 0) else kind
                stem = f"{name[0]}{number}"
                place(folder / "data" / part / name / f"{stem}.png", scene(shown, HW))
                mask = np.zeros(HW, np.uint8)
                mask[60:180, 40:120] = 128
                place(folder / "masks" / part / name / f"{stem}.png", mask)
                rows.append(",".join([f"{name}/{stem}.png", *map(str, BOX)]))
        (folder / f"{part}.csv").write_text("\n".join(rows) + "\n")
    return folder / "data"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """11 of 12 photos lie in the right folder."""
    return make_data(tmp_path, wrong=True)


@pytest.fixture
def sound_data(tmp_path: Path) -> Path:
    """All do."""
    return make_data(tmp_path, wrong=False)


def place(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


def measured(bundle: Path, data: Path, capsys: pytest.CaptureFixture[str], **asked: Any) -> dict[str, Any]:
    evaluate(bundle, data, Asked(**asked), json=True, backend=None, threads=1)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_without_boxes_nothing_is_said_of_places(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measured(bundle, data, capsys)
    assert found["n"] == 3 * EACH
    assert found["top1"] == pytest.approx(11 / 12)
    assert found["localization"] is found["operating_point"] is found["against"] is None


def test_maps_are_scored_against_boxes_and_masks_with_thresholds_from_val(
    bundle: Path, sound_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = sound_data.parent
    found = measured(
        bundle,
        sound_data,
        capsys,
        known=Known(here / "test.csv", here / "masks" / "test"),
        val_known=Known(here / "val.csv", here / "masks" / "val"),
    )["localization"]
    assert found["n"] == 12
    assert found["max_box_acc"]["0.5"] == found["gt_known_loc"] == found["top1_loc"] == 1
    assert found["pointing"] == 1
    assert found["pxap"] > 0.85
    assert found["miou"] > 0.7
    assert found["at_threshold"]["chosen_on"] == "another split"
    assert found["counts"] == {"boxes": 12, "masks": 12, "flat_maps": 0}
    # The square lies beside the middle, so a map that knows nothing does worse.
    assert found["baselines"]["center"]["max_box_acc_v2"] < found["max_box_acc_v2"]
    assert found["baselines"]["cam"]["max_box_acc_v2"] == found["max_box_acc_v2"]


def test_annotations_of_test_photos_are_not_taken_for_those_of_val_photos_that_are_named_alike(
    bundle: Path, sound_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = sound_data.parent
    assert {path.name for path in (sound_data / "val").rglob("*.png")} == {
        path.name for path in (sound_data / "test").rglob("*.png")
    }
    alone = measured(bundle, sound_data, capsys, known=Known(here / "test.csv"))["localization"]
    assert alone["at_threshold"]["chosen_on"] == "these images"
    told = {"known": Known(here / "test.csv"), "val_known": Known(here / "val.csv")}
    both = measured(bundle, sound_data, capsys, **told)["localization"]
    assert both["at_threshold"]["chosen_on"] == "another split"


def test_a_photo_called_otherwise_is_judged_by_the_map_of_what_it_is_and_lowers_top1_loc(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measured(bundle, data, capsys, known=Known(data.parent / "test.csv"))["localization"]
    # Blue is nowhere in it, least of all on the square, so the largest box misses.
    assert found["gt_known_loc"] == found["top1_loc"] == pytest.approx(11 / 12)
    assert found["pxap"] is found["miou"] is None


def test_masks_alone_are_enough(bundle: Path, sound_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = Known(masks=sound_data.parent / "masks" / "test")
    found = measured(bundle, sound_data, capsys, known=known)["localization"]
    assert found["max_box_acc_v2"] is found["gt_known_loc"] is None
    assert found["pxap"] > 0.85


def test_boxes_of_other_photos_are_refused_with_both_names(bundle: Path, data: Path) -> None:
    boxes = data.parent / "other.csv"
    boxes.write_text("image_id,x0,y0,x1,y1\nelsewhere/9.png,1,2,3,4\n")
    with pytest.raises(DataError, match=r"None of the 12 photos.*\n.*elsewhere/9.png"):
        evaluate(bundle, data, Asked(known=Known(boxes)), json=True, backend=None, threads=1)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("red thing/r0.png,1,1,9,9,camel", "unknown class"),
        (f"{CLASSES[0]}/{CLASSES[0][0]}0.png,400,10,500,90,", "outside the image of 320 x 240 pixels"),
        (f"{CLASSES[0]}/{CLASSES[0][0]}0.png,40,10,500,90,", "partly outside the image"),
        (f"{CLASSES[0]}/{CLASSES[0][0]}0.png,a,b,c,d,", "not four numbers"),
        ("1,2", "6 fields expected"),
    ],
)
def test_bad_annotations_are_named_with_their_file_and_the_rest_is_scored(
    bundle: Path, sound_data: Path, capsys: pytest.CaptureFixture[str], row: str, said: str
) -> None:
    table = sound_data.parent / "labelled.csv"
    good = (sound_data.parent / "test.csv").read_text().splitlines()
    table.write_text("\n".join([f"{good[0]},label", *(f"{line}," for line in good[1:]), row]) + "\n")
    evaluate(bundle, sound_data, Asked(Known(table)), json=True, backend=None, threads=1)
    printed = capsys.readouterr()
    assert json.loads(printed.out)["localization"]["n"] == 3 * EACH
    assert said in printed.err
    assert ("labelled.csv" in printed.err) or (f"{CLASSES[0][0]}0.png" in printed.err)


def test_boxes_of_other_classes_alone_are_named_before_the_refusal(
    bundle: Path, sound_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "camels.csv"
    table.write_text(f"image_id,x0,y0,x1,y1,label\n{CLASSES[0]}/{CLASSES[0][0]}0.png,1,1,9,9,camel\n")
    with pytest.raises(DataError):
        evaluate(bundle, sound_data, Asked(Known(table)), json=True, backend=None, threads=1)
    assert "unknown class 'camel'" in capsys.readouterr().err


def test_a_threshold_is_chosen_on_val_and_judged_on_test(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    point = measured(bundle, data, capsys, max_fpr=0.2, positive=CLASSES[0])["operating_point"]
    assert point["positive"] == CLASSES[0]
    assert point["tpr"] == pytest.approx(3 / 4)
    assert point["fpr"] == 0


def test_a_rate_that_so_few_photos_cannot_show_is_refused(bundle: Path, data: Path) -> None:
    asked = Asked(max_fpr=0.01, positive=CLASSES[0])
    with pytest.raises(DataError, match=r"8 "):
        evaluate(bundle, data, asked, json=True, backend=None, threads=1)


def test_without_photos_to_choose_on_the_way_to_name_them_is_told(bundle: Path, data: Path) -> None:
    with pytest.raises(DataError, match="--val OTHER-PHOTOS"):
        evaluate(bundle, data / "test", Asked(max_fpr=0.2), json=True, backend=None, threads=1)
    evaluate(
        bundle,
        data / "test",
        Asked(max_fpr=0.5, val=data / "val", positive=CLASSES[0]),
        json=True,
        backend=None,
        threads=1,
    )


def other_bundle(folder: Path, classes: tuple[str, ...]) -> Path:
    """The same engine with a head that always names its first class."""
    always = Head(np.zeros((3, 3), np.float32), np.array([1, 0, 0], np.float32), classes)
    return make_bundle(folder, head=always)


def test_two_bundles_are_compared_photo_by_photo_whatever_the_order_of_their_classes(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = other_bundle(tmp_path / "other.edgecam", CLASSES[::-1])  # always says red
    found = measured(bundle, data, capsys, against=other)["against"]
    assert found["top1_against"] == pytest.approx(1 / 3)
    assert found["top1_difference"] == pytest.approx(11 / 12 - 1 / 3)
    low, high = found["top1_difference_ci95"]
    assert low < found["top1_difference"] < high
    assert (found["mcnemar"]["b"], found["mcnemar"]["c"]) == (7, 0)


def test_where_things_are_known_two_bundles_are_also_compared_by_where_they_point(
    bundle: Path, sound_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = other_bundle(tmp_path / "flat.edgecam", CLASSES[::-1])  # its maps are 0 everywhere
    known = Known(sound_data.parent / "test.csv", sound_data.parent / "masks" / "test")
    found = measured(bundle, sound_data, capsys, known=known, against=flat)
    moved, ours = found["against"]["localization"], found["localization"]
    prevalence = 80 * 120 / (240 * 320)
    assert moved["pxap"]["difference"] == pytest.approx(ours["pxap"] - prevalence, abs=0.002)
    assert moved["max_box_acc_v2"]["difference"] == pytest.approx(ours["max_box_acc_v2"])
    same = measured(bundle, sound_data, capsys, known=known, against=bundle)["against"]["localization"]
    assert same["pxap"] == {"difference": 0, "ci95": [0, 0]}
    assert same["max_box_acc_v2"]["difference"] == 0


def test_bundles_of_other_classes_are_not_compared(bundle: Path, data: Path, tmp_path: Path) -> None:
    other = other_bundle(tmp_path / "other.edgecam", ("cat", *CLASSES[1:]))
    with pytest.raises(DataError, match=r"other classes.*blue thing, cat"):
        evaluate(bundle, data, Asked(against=other), json=True, backend=None, threads=1)


def test_a_page_holds_its_pictures_and_people_get_a_table(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, here = tmp_path / "page.html", data.parent
    asked = Asked(
        known=Known(here / "test.csv", here / "masks" / "test"),
        max_fpr=0.2,
        positive=CLASSES[0],
        against=other_bundle(tmp_path / "other.edgecam", CLASSES),
        html=page,
    )
    evaluate(bundle, data, asked, json=False, backend=None, threads=1)
    told = capsys.readouterr()
    assert "91.7 %" in told.out
    assert "MaxBoxAccV2" in told.out
    assert "points top-1" in told.out
    assert str(page) in told.err.replace("\n", "")
    text = page.read_text()
    assert text.count("data:image/") == 6
    for said in (
        "MaxBoxAccV2",
        "centre",
        "plain CAM",
        "the best on these images",
        "points PxAP",
        "against other.edgecam",
    ):
        assert said in text
    assert not re.search(r'(src|href)="(?!data:)', text)  # nothing is fetched when it is opened


def test_a_page_that_cannot_be_written_is_one_message(bundle: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    asked = Asked(html=tmp_path / "file" / "page.html")
    with pytest.raises(OutputError):
        evaluate(bundle, data, asked, json=True, backend=None, threads=1)
