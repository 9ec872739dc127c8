"""What is refused before any photo is taken apart, and what is left alone."""

from pathlib import Path

import numpy as np
import pytest

from edge.loop_kit import CLASSES, make_bundle
from edgecam_engines.errors import DataError, OutputError, TrainingError
from edgecam_engines.head import Head
from edgecam_training.recompose import make as making
from edgecam_training.recompose.fill import Blur, Brush, Telea, open_fills
from edgecam_training.recompose.photos import find, find_grounds, read_small
from edgecam_training.recompose.place import check_places
from edgecam_training.recompose.teacher import labels_of, open_teacher
from training import remake_kit
from training.recompose_kit import (
    RED,
    disc,
    files,
    make_data,
    order,
    photo,
    save,
    teacher,
    tools,
)
from training.remake_kit import log_of, run

data = remake_kit.data
made = remake_kit.made


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
