"""The data set as it lies on disk: exact, the same for one seed, nothing shared between its parts."""

import json
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecam_calibration.evaluate import load_labelled
from edgecam_engines.errors import DataError, OutputError
from edgecam_training.composite import make as making
from edgecam_training.composite.gather import Material, gather
from edgecam_training.composite.make import Order, make
from edgecam_training.data import find_photos
from training.composite_kit import COLOURS, SIZE, colourful, cutout, make_backgrounds, make_cutouts

ORDER = Order(per_class=9, val_per_class=2, test_per_class=4, size=SIZE, seed=3)
COUNTS = {"train": 9, "val": 2, "test": 4}
SPLITS = {"train-weaksup": "train", "train-fullsup": "val", "test": "test"}


def read_material(folder: Path, classes: int | None = None) -> Material:
    return gather(folder / "things", folder / "grounds", classes=classes, size=SIZE, cache=folder)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    make_cutouts(folder / "things", 6)
    make_backgrounds(folder / "grounds", 6)
    return folder


@pytest.fixture(scope="module")
def made(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data set, for tests that only read it."""
    out = tmp_path_factory.mktemp("made") / "set"
    make(read_material(sources), ORDER, out, workers=2)
    return out


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def lines(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text().splitlines()]


def mask_of(root: Path, image_id: str) -> NDArray[np.uint8]:
    mask = cv2.imread(str(root / "masks" / Path(image_id).with_suffix(".png")), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    return np.asarray(mask, np.uint8)


# -- the layout


def test_train_and_eval_find_every_photo_under_its_class(made: Path) -> None:
    split = find_photos(made, val_share=0.1, min_photos=1, seed=0)
    assert split.classes == ("blue", "green", "red")
    assert split.problems == []
    assert Counter(item.label for item in split.train) == {0: 9, 1: 9, 2: 9}
    assert Counter(item.label for item in split.val) == {0: 2, 1: 2, 2: 2}
    assert Counter(label for _, label in load_labelled(made, split.classes)) == {0: 4, 1: 4, 2: 4}


@pytest.mark.parametrize("split", SPLITS)
def test_the_metadata_is_the_wsol_protocols(made: Path, split: str) -> None:
    folder = made / "metadata" / split
    ids = [row[0] for row in lines(folder / "image_ids.txt")]
    assert len(set(ids)) == len(ids) == 3 * COUNTS[SPLITS[split]]
    assert all((made / image_id).is_file() for image_id in ids)
    assert lines(folder / "image_sizes.txt") == [[image_id, str(SIZE), str(SIZE)] for image_id in ids]
    labels = dict(lines(folder / "class_labels.txt"))
    assert labels == {image_id: str(sorted(COLOURS).index(image_id.split("/")[1])) for image_id in ids}
    assert [row[0] for row in lines(folder / "localization.txt")] == ids


@pytest.mark.parametrize("split", SPLITS)
def test_every_box_is_around_its_mask_and_the_tables_agree(made: Path, split: str) -> None:
    table = lines(made / "metadata" / split / "localization.txt")
    header, *rows = lines(made / "boxes" / f"{SPLITS[split]}.csv")
    assert header == ["image_id", "x0", "y0", "x1", "y1"]
    assert rows == table
    for image_id, *corners in table:
        mask = mask_of(made, image_id)
        assert mask.shape == (SIZE, SIZE)
        assert set(np.unique(mask)) == {0, 128}
        ys, xs = np.nonzero(mask)
        assert [int(c) for c in corners] == [xs.min(), ys.min(), xs.max(), ys.max()]
        share = (xs.max() - xs.min() + 1) * (ys.max() - ys.min() + 1) / SIZE**2
        assert 0.10 <= share <= 0.60


def test_the_photos_show_the_object_where_the_mask_says(made: Path) -> None:
    """Through JPEG, whose colours run by two pixels."""
    kernel = np.ones((7, 7), np.uint8)
    for image_id, *_ in lines(made / "boxes" / "test.csv")[1:]:
        frame, mask = cv2.imread(str(made / image_id)), mask_of(made, image_id)
        assert frame is not None
        seen = colourful(np.asarray(frame, np.uint8))
        assert seen[cv2.erode(mask, kernel) > 0].mean() > 0.97
        assert seen[cv2.dilate(mask, kernel) == 0].mean() < 0.01


def test_a_photo_of_a_class_shows_its_colour(made: Path) -> None:
    for path in (made / "train").rglob("*.jpg"):
        frame = cv2.imread(str(path))
        assert frame is not None
        mask = mask_of(made, path.relative_to(made).as_posix()) > 0
        means = frame[mask].mean(axis=0)
        assert ("blue", "green", "red")[int(means.argmax())] == path.parent.name


# -- what it is made of


def about(root: Path) -> dict[str, Any]:
    found = json.loads((root / "about.json").read_text())
    assert isinstance(found, dict)
    return found


def test_parts_share_no_cut_out_and_no_background_and_use_all(made: Path) -> None:
    made_of = about(made)["made_of"]
    for kind in ("backgrounds", "red", "green", "blue"):
        shares = [part["cutouts"].get(kind, part["backgrounds"]) for part in made_of.values()]
        names = [name for share in shares for name in share]
        assert len(names) == len(set(names)) == 6
        assert all(shares)


def test_every_cut_out_of_a_part_is_shown_about_equally_often(sources: Path, tmp_path: Path) -> None:
    shares = making.share_out(read_material(sources), ORDER.seed)
    for part in making.PARTS:
        jobs = list(making._jobs(part, shares[part], ORDER))
        for label, things in enumerate(shares[part].objects.values()):
            shown = Counter(job.cutout.name for job in jobs if job.label == label)
            assert set(shown) == {one.name for one in things}
            assert max(shown.values()) - min(shown.values()) <= 1


def test_a_class_is_seen_before_every_background_of_its_part(sources: Path, tmp_path: Path) -> None:
    """Else a classifier could go by the background. Drawn without regard to the class, they all meet."""
    share = making.share_out(read_material(sources), 0)[making.PARTS[0]]
    met: dict[int, set[str]] = {}
    for job in making._jobs(making.PARTS[0], share, Order(per_class=40, size=SIZE)):
        met.setdefault(job.label, set()).add(making.draw(job.cutout, job.cast, SIZE, job.rng).background)
    grounds = {ground.name for ground in share.cast.backgrounds}
    assert len(grounds) >= 3
    assert all(seen == grounds for seen in met.values())


def test_about_says_what_the_figures_rest_on(made: Path) -> None:
    found = about(made)
    assert (found["seed"], found["size"], found["classes"]) == (3, SIZE, ["blue", "green", "red"])
    assert found["photos_per_class"] == COUNTS
    assert [source["what"] for source in found["sources"]] == ["cut-outs", "backgrounds"]
    assert set(found["versions"]) == {"numpy", "opencv", "pillow"}
    assert str(made.parent) not in json.dumps(found)


def test_the_contact_sheet_has_a_row_a_class(made: Path) -> None:
    sheet = cv2.imread(str(made / "contact.jpg"))
    assert sheet is not None
    assert sheet.shape[0] % 3 == 0
    green = (np.abs(sheet.astype(int) - (60, 220, 60)).max(axis=2) < 60).sum()
    assert green > 3 * 8 * 60  # boxes are drawn


# -- one seed, one data set


def test_the_bytes_depend_on_the_seed_alone(sources: Path, made: Path, tmp_path: Path) -> None:
    """Not on the number of workers, nor on the order in which a file system lists files."""
    again = tmp_path / "sources"
    for path in sorted((p for p in sources.rglob("*.png")), reverse=True):
        place = again / path.relative_to(sources)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    make(read_material(again), ORDER, tmp_path / "again", workers=1)
    assert files(tmp_path / "again") == files(made)


def test_another_seed_gives_other_pictures_and_other_parts(sources: Path, made: Path, tmp_path: Path) -> None:
    other = Order(per_class=9, val_per_class=2, test_per_class=4, size=SIZE, seed=4)
    make(read_material(sources), other, tmp_path / "other", workers=2)
    here, there = files(made), files(tmp_path / "other")
    assert set(here) == set(there)
    assert not [name for name in here if name.endswith(".jpg") and here[name] == there[name]]
    assert about(made)["made_of"] != about(tmp_path / "other")["made_of"]


def test_a_class_has_the_same_photos_whatever_other_classes_there_are(
    sources: Path, made: Path, tmp_path: Path
) -> None:
    """And the first ones stay when more are asked for."""
    fewer = Order(per_class=5, val_per_class=1, test_per_class=2, size=SIZE, seed=3)
    make(read_material(sources, classes=2), fewer, tmp_path / "two", workers=2)
    two, three = files(tmp_path / "two"), files(made)
    photos = [name for name in two if name.split("/")[0] in COUNTS]
    assert len(photos) == 2 * 8
    assert all(two[name] == three[name] for name in photos)


# -- where it is put


def test_a_folder_with_something_in_it_is_left_alone(sources: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not empty"):
        make(read_material(sources), ORDER, tmp_path, workers=1)
    with pytest.raises(OutputError, match="is a file"):
        make(read_material(sources), ORDER, tmp_path / "mine.txt", workers=1)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "empty"
    out.mkdir()
    make(read_material(sources), Order(1, 1, 1, SIZE), out, workers=2)
    assert (out / "about.json").is_file()
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_what_ends_the_work_leaves_nothing(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    done: list[str] = []

    def fails(root: Path, job: making.Job, size: int) -> None:
        done.append(job.image_id)
        if len(done) == 5:
            raise error
        time.sleep(0.05)

    monkeypatch.setattr(making, "_make", fails)
    with pytest.raises((KeyboardInterrupt, OutputError)):
        make(read_material(sources), ORDER, tmp_path / "x", workers=2)
    assert list(tmp_path.iterdir()) == []
    assert len(done) < 27  # the other pictures are not begun


def test_a_cut_out_that_cannot_be_shown_is_named_and_nothing_is_left(sources: Path, tmp_path: Path) -> None:
    material = read_material(sources)
    veil = np.full((224, 224, 4), 40, np.uint8)
    veil[110, 5:219] = 130
    material.classes["red"][:] = [[cutout(tmp_path / f"veil-{k}.png", veil)] for k in range(3)]
    with pytest.raises(DataError, match=r"The cut-out veil-\d is too thin or too see-through"):
        make(material, Order(2, 2, 2, SIZE), tmp_path / "x", workers=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["veil-0.png", "veil-1.png", "veil-2.png"]


def test_a_full_disk_is_told_and_nothing_is_left(sources: Path, small_disk: Path) -> None:
    with pytest.raises(OutputError, match="could not be made"):
        make(read_material(sources), Order(per_class=300, size=SIZE), small_disk / "x", workers=2)
    assert list(small_disk.iterdir()) == []
