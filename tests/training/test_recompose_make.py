"""A folder of new photos: labelled right, the same for one seed, and nothing of the originals touched."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.loop_kit import CLASSES, make_bundle
from edgecam_engines.engine import Frame
from edgecam_engines.errors import DataError, OutputError, TrainingError
from edgecam_engines.head import Head
from edgecam_training.data import find_photos
from edgecam_training.recompose import make as making
from edgecam_training.recompose.cut import UNKNOWN
from edgecam_training.recompose.fill import Blur, Brush, Telea, open_fills
from edgecam_training.recompose.make import make
from edgecam_training.recompose.order import Order, Tools
from edgecam_training.recompose.photos import find, find_grounds, read_small
from edgecam_training.recompose.place import check_places
from edgecam_training.recompose.teacher import labels_of, open_teacher
from training.recompose_kit import (
    BLUE,
    COLOURS,
    RED,
    Distracted,
    disc,
    files,
    ground,
    make_data,
    order,
    photo,
    save,
    teacher,
    tools,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("photos") / "data")


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For tests that only read it: more photos than there are things, so each is used twice."""
    out = tmp_path_factory.mktemp("made") / "new"
    make(find(data, seed=0), order(6), tools(), out)
    return out


def run(data: Path, out: Path, wanted: Order | None = None, by: Tools | None = None) -> dict[str, Any]:
    return make(find(data, seed=0), wanted or order(), by or tools(), out)


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def decoded(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return np.asarray(picture, np.uint8)


# -- what is made


def test_each_class_gets_as_many_as_were_asked_for_under_its_name(made: Path) -> None:
    others = {".truth", "about.json", "contact.jpg", "log.jsonl"}
    assert {path.name for path in made.iterdir()} == {*CLASSES, *others}
    for name in CLASSES:
        assert sorted(p.name for p in (made / name).iterdir()) == [f"composed-{k:04d}.jpg" for k in range(6)]


def test_the_label_is_the_things_class_and_the_mask_is_where_it_is_seen(made: Path) -> None:
    header, *lines = (made / ".truth" / "boxes.csv").read_text().splitlines()
    assert header == "image_id,x0,y0,x1,y1"
    boxes = {line.split(",")[0]: [int(part) for part in line.split(",")[1:]] for line in lines}
    assert len(boxes) == 18
    for image_id, box in boxes.items():
        frame = decoded(made / image_id).astype(int)
        mask = decoded(made / ".truth" / "masks" / Path(image_id).with_suffix(".png"))
        assert set(np.unique(mask)) == {0, 128}
        ys, xs = np.nonzero(mask)
        assert box == [xs.min(), ys.min(), xs.max(), ys.max()]
        label = CLASSES.index(Path(image_id).parent.name)
        assert int(frame[mask > 0].mean(axis=0).argmax()) == label
        coloured = frame.max(axis=2) - frame.min(axis=2) > 90
        assert (coloured & (mask > 0)).sum() / (coloured | (mask > 0)).sum() > 0.9


def test_no_ground_is_of_the_things_own_class(made: Path) -> None:
    tried = [entry for entry in log_of(made) if entry["step"] == "compose"]
    assert len(tried) >= 18
    assert all(entry["ground"].split("/")[0] != entry["class"] for entry in tried)
    assert all(entry["photo"].split("/")[0] == entry["class"] for entry in tried)


def test_training_finds_the_classes_and_no_other_folder(made: Path) -> None:
    split = find_photos(made, val_share=0.2, min_photos=2, seed=0)
    assert split.classes == CLASSES
    assert split.problems == []


def test_every_attempt_is_in_the_log_with_a_reason_if_it_was_not_used(made: Path) -> None:
    about = json.loads((made / "about.json").read_text())
    entries = log_of(made)
    assert all((entry["why"] is None) == entry["used"] for entry in entries)
    for name, found in about["classes"].items():
        own = [entry for entry in entries if entry["class"] == name]
        assert found["photos"] == len({entry["photo"] for entry in own if entry["step"] == "cut"}) == 4
        assert found["made"] == sum(entry["used"] for entry in own if entry["step"] == "compose") == 6
        refused = Counter(entry["why"] for entry in own if not entry["used"])
        assert sum(refused.values()) <= sum(found["refused"].values())


def test_the_contact_sheet_has_two_rows_a_class(made: Path) -> None:
    sheet = decoded(made / "contact.jpg")
    assert sheet.shape[0] % 6 == 0
    green = (np.abs(sheet.astype(int) - (60, 220, 60)).max(axis=2) < 60).sum()
    assert green > 6 * 4 * 30  # boxes are drawn


def test_nothing_made_says_where_it_was_made(made: Path) -> None:
    texts = (made / "about.json").read_text() + (made / "log.jsonl").read_text()
    assert str(made.parent) not in texts


# -- one seed, one folder; and nobody else's files


def test_the_bytes_depend_on_photos_and_seed_alone(data: Path, made: Path, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(data, tmp_path / "elsewhere")
    cv2.setRNGSeed(4)
    run(elsewhere, tmp_path / "again", order(6))
    assert files(tmp_path / "again") == files(made)


def test_another_seed_gives_other_photos(data: Path, made: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "other", order(6, seed=1))
    here, there = files(made), files(tmp_path / "other")
    assert not [name for name in here if name.endswith("jpg") and here[name] == there.get(name)]


def test_no_file_of_the_photos_changes(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    before = files(data), {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    run(data, tmp_path / "out", order(with_originals=True))
    assert (files(data), {path: path.stat().st_mtime_ns for path in data.rglob("*")}) == before


def test_photos_of_val_are_never_taken_apart(data: Path, made: Path) -> None:
    held = {path.relative_to(data / "val").as_posix() for path in (data / "val").rglob("*.png")}
    assert len(held) == 3
    assert not held & {entry.get(key) for entry in log_of(made) for key in ("photo", "ground")}


def test_without_a_val_folder_the_share_that_train_would_judge_by_is_left_alone(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", 9, val=0)
    for root in (data / "train", data):  # a folder of classes, and one with train alone in it
        photos = find(root, seed=3)
        drawn = find_photos(data / "train", val_share=0.15, min_photos=2, seed=3)
        assert photos.val == drawn.val
        assert photos.train == drawn.train


# -- with the originals


def test_with_the_originals_the_folder_can_be_trained_on_and_val_is_as_it_was(
    data: Path, tmp_path: Path
) -> None:
    run(data, tmp_path / "out", order(with_originals=True))
    before = find_photos(data, val_share=0.1, min_photos=1, seed=0)
    after = find_photos(tmp_path / "out", val_share=0.1, min_photos=1, seed=0)
    assert after.problems == []
    assert [item.digest for item in after.val] == [item.digest for item in before.val]
    new = Counter(after.classes[i.label] for i in after.train) - Counter(
        before.classes[i.label] for i in before.train
    )
    assert new == dict.fromkeys(CLASSES, 3)
    assert {item.digest for item in before.train} < {item.digest for item in after.train}


def test_a_disk_without_links_gets_copies(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "symlink_to", refuses)
    run(data, tmp_path / "out", order(with_originals=True))
    place = tmp_path / "out" / "val" / CLASSES[0] / "4.png"
    assert not place.is_symlink()
    assert place.read_bytes() == (data / "val" / CLASSES[0] / "4.png").read_bytes()


def test_an_original_with_a_new_photos_name_is_not_written_over(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    save(data / "train" / CLASSES[0] / "composed-0000.jpg", photo(BLUE, 77))
    with pytest.raises(DataError, match="has the name of a new photo"):
        run(data, tmp_path / "out", order(with_originals=True))
    assert not (tmp_path / "out").exists()


# -- grounds of one's own, and the teacher's word


def test_own_grounds_are_used_instead_of_the_other_classes(data: Path, tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / "grounds" / f"{number}.png", ground(50 + number))
    by = tools(grounds=find_grounds(tmp_path / "grounds", 128))
    about = run(data, tmp_path / "out", by=by)
    assert about["backgrounds"] == "own"
    tried = [entry for entry in log_of(tmp_path / "out") if entry["step"] == "compose"]
    assert {entry["ground"] for entry in tried} <= {"0.png", "1.png", "2.png"}


def test_a_composite_that_the_teacher_does_not_name_is_not_used(data: Path, tmp_path: Path) -> None:
    """On a blue ground nothing but a blue thing is called by its name."""
    save(tmp_path / "grounds" / "sea.png", np.full((96, 128, 3), COLOURS[BLUE], np.uint8))
    about = run(data, tmp_path / "out", by=tools(grounds=[tmp_path / "grounds" / "sea.png"]))
    made = {name: found["made"] for name, found in about["classes"].items()}
    assert made == {CLASSES[0]: 3, CLASSES[1]: 0, CLASSES[2]: 0}
    refused = about["classes"][CLASSES[RED]]["refused"]
    assert refused[making.DISAGREES] == making.TRIES * 3
    assert not (tmp_path / "out" / CLASSES[RED]).exists()


@pytest.mark.parametrize("agree", [0.0, 0.97])
def test_whatever_is_used_has_the_probability_asked_for(data: Path, tmp_path: Path, agree: float) -> None:
    run(data, tmp_path / "out", order(agree=agree))
    tried = [entry for entry in log_of(tmp_path / "out") if entry["step"] == "compose"]
    assert all(entry["p"] >= agree for entry in tried if entry["used"])
    assert all(entry["p"] < agree or entry["why"] == making.PAINTED for entry in tried if not entry["used"])


def test_too_much_painted_ground_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "MOST_PAINTED", -1.0)
    with pytest.raises(DataError, match="Not one composite was accepted") as told:
        run(data, tmp_path / "out")
    assert all(f"{name}: 18 x {making.PAINTED}" in str(told.value) for name in CLASSES)
    assert list(tmp_path.iterdir()) == []


def test_a_teacher_that_knows_no_thing_without_its_ground_leaves_nothing(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=UNKNOWN):
        run(data, tmp_path / "out", by=tools(teacher=teacher(Distracted((64, 64), 8))))
    assert list(tmp_path.iterdir()) == []


# -- what repaints


class Sky:
    """A painter that paints everything asked for in one colour, and remembers what it was given."""

    def __init__(self) -> None:
        self.asked: list[tuple[Frame, NDArray[np.bool_]]] = []

    def fill(self, photo: Frame, mask: NDArray[np.bool_], rng: np.random.Generator, /) -> Frame:
        self.asked.append((photo, mask))
        return np.where(mask[:, :, None], np.uint8(140), photo)


def test_a_painter_gets_the_composite_and_everything_but_the_thing(data: Path, tmp_path: Path) -> None:
    sky = Sky()
    about = run(data, tmp_path / "out", by=tools(repaint=sky))
    assert about["repainted_by"] == "sky"
    assert len(sky.asked) == 9
    first = sorted((tmp_path / "out" / CLASSES[0]).iterdir())[0]
    mask = decoded(tmp_path / "out" / ".truth" / "masks" / CLASSES[0] / "composed-0000.png") > 0
    np.testing.assert_array_equal(sky.asked[0][1], ~mask)
    frame, core = decoded(first).astype(int), cv2.erode(mask.astype(np.uint8), np.ones((9, 9))) > 0
    far = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))) == 0
    assert np.abs(frame[far] - 140).max() <= 20  # but for what JPEG does
    assert np.abs(frame[core] - sky.asked[0][0][core]).mean() < 3


# -- what is refused before any work


def test_one_bundle_or_run_is_opened_and_anything_else_is_explained(tmp_path: Path) -> None:
    with open_teacher(make_bundle(tmp_path / "t.edgecam"), threads=1) as opened:
        assert opened.head.classes == CLASSES
        assert opened.look(photo(RED), RED).probability > 0.9
    (tmp_path / "empty").mkdir()
    for path, what in ((tmp_path / "empty", "has neither"), (tmp_path / "none", "is not a folder")):
        with pytest.raises(TrainingError, match=what), open_teacher(path, threads=1):
            pass


def test_a_class_that_the_teacher_does_not_know_is_named(data: Path) -> None:
    with pytest.raises(DataError, match="does not know: pink thing"):
        labels_of([*CLASSES, "pink thing"], CLASSES, data)
    assert labels_of(["red thing", "blue thing"], CLASSES, data) == {"red thing": 2, "blue thing": 0}
    assert labels_of(["Pa\u0308r"], ["x", "P\u00e4r"], data) == {"Pa\u0308r": 1}


def test_a_teacher_with_its_classes_in_another_order_labels_right(data: Path, tmp_path: Path) -> None:
    turned = Head(np.eye(3, dtype=np.float32)[::-1] * 60, np.zeros(3, np.float32), CLASSES[::-1])
    about = run(data, tmp_path / "out", by=tools(teacher=teacher(head=turned)))
    assert [found["made"] for found in about["classes"].values()] == [3, 3, 3]


def test_a_class_without_a_photo_is_named(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    (data / "train" / "pink thing").mkdir()
    with pytest.raises(DataError, match=r"no usable photo to take apart in .*pink thing"):
        find(data, seed=0)


def test_an_unreadable_photo_is_named_and_left_out(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    (data / "train" / CLASSES[0] / "torn.jpg").write_bytes(b"torn")
    run(data, tmp_path / "out")
    (entry,) = (entry for entry in log_of(tmp_path / "out") if entry["step"] == "read")
    assert entry["photo"] == f"{CLASSES[0]}/torn.jpg"
    assert "not an image" in entry["why"]


def test_a_photo_too_narrow_for_the_size_is_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_data(tmp_path / "data")
    save(data / "train" / CLASSES[0] / "thin.png", np.full((20, 600, 3), 90, np.uint8))
    about = run(data, tmp_path / "out", order(5))
    assert sum(about["classes"][CLASSES[0]]["refused"].values()) >= 1
    reasons = [entry for entry in log_of(tmp_path / "out") if entry["photo"].endswith("thin.png")]
    assert len(reasons) == 1
    assert "too narrow" in reasons[0]["why"]
    assert "thin.png" in capsys.readouterr().err


def test_photos_are_reduced_and_never_enlarged(tmp_path: Path) -> None:
    wide = save(tmp_path / "wide.png", np.zeros((100, 400, 3), np.uint8))
    assert read_small(wide, 200).shape == (50, 200, 3)
    assert read_small(wide, 800).shape == (100, 400, 3)


def test_grounds_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        find_grounds(tmp_path / "none", 128)
    (tmp_path / "bad").mkdir()
    with pytest.raises(DataError, match="holds no photo"):
        find_grounds(tmp_path / "bad", 128)
    (tmp_path / "bad" / "torn.jpg").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"torn\.jpg"):
        find_grounds(tmp_path / "bad", 128)


@pytest.mark.parametrize("place", ["data", "data/new", "."])
def test_a_folder_in_the_photos_or_around_them_is_refused(tmp_path: Path, place: str) -> None:
    data = make_data(tmp_path / "data")
    with pytest.raises(OutputError, match="lie in each other"):
        check_places(data, tmp_path / place, [])


def test_a_folder_that_is_not_its_own_is_left_alone(data: Path, made: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "about.json").write_text('{"made_by": "me"}')
    with pytest.raises(OutputError, match="was not made by"):
        check_places(data, tmp_path / "mine", [])
    with pytest.raises(OutputError, match="is a file"):
        check_places(data, tmp_path / "mine" / "about.json", [])
    with pytest.raises(DataError, match="holds composites already"):
        check_places(made, tmp_path / "new", [])
    with pytest.raises(OutputError, match="lie in each other"):
        check_places(data, made, [made / "teacher"])


def test_its_own_folder_is_replaced_whole(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "out", order(4))
    check_places(data, tmp_path / "out", [])
    run(data, tmp_path / "out", order(2))
    assert len(list((tmp_path / "out").glob("*/*.jpg"))) == 6
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_interrupted_run_leaves_what_was_there(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(data, tmp_path / "out", order(2))
    before = files(tmp_path / "out")

    def fails(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "compose", fails)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "out", order(3))
    assert files(tmp_path / "out") == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_each_way_of_painting_is_opened_by_name() -> None:
    assert [type(one) for one in open_fills(Brush("blur"))] == [Blur, type(None)]
    assert [type(one) for one in open_fills(Brush("telea"))] == [Telea, type(None)]
    with pytest.raises(DataError, match="--model is for --fill diffusers"):
        open_fills(Brush("blur", Path("x")))
    with pytest.raises(DataError, match="needs --model DIR"):
        open_fills(Brush("diffusers"))


def test_the_kit_paints_a_disc_where_it_says() -> None:
    assert (photo(RED)[disc()].mean(axis=0).argmax()) == RED
