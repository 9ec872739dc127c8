"""A folder of new photos: labelled right, the same for one seed, and nothing of the originals touched."""

import json
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.loop_kit import CLASSES
from edgecam_engines.errors import DataError
from edgecam_training.data import find_photos
from edgecam_training.recompose.photos import find
from training import remake_kit
from training.recompose_kit import (
    BLUE,
    files,
    make_data,
    order,
    photo,
    save,
)
from training.remake_kit import decoded, log_of, run

data = remake_kit.data
made = remake_kit.made


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
