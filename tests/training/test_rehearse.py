"""Which photos teach and which judge when a finished network learns new ones."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecam_calibration.evaluate import Labelled
from edgecam_calibration.origin import DIGITS
from edgecam_engines.errors import DataError, TrainingError
from edgecam_engines.files import sha256_of
from edgecam_engines.geometry import fit
from edgecam_engines.head import Head
from edgecam_training.base import Base, Taught
from edgecam_training.data import Split
from edgecam_training.fewshot.example import digest_of
from edgecam_training.items import Item
from edgecam_training.options import Options
from edgecam_training.rehearse import with_rehearsal
from training.photo_kit import picture
from training.tune_kit import OLD, photos_of

HW = (64, 64)
OPTIONS = Options(
    init="base", tune="bias", head_epochs=0, last_epochs=0, rehearse=4, min_photos=2, val_share=0.25
)


def base_of(folder: Path, *, old: int = 10, val: int = 3) -> Base:
    """A network that learned from `old` photos of each old class, and was judged by others."""
    root = photos_of(folder / "old", *OLD, count=old + val)
    shown = {k: sorted((root / name).iterdir()) for k, name in enumerate(OLD)}
    train = [Labelled(path, k) for k, paths in shown.items() for path in paths[:old]]
    judges = [Labelled(path, k) for k, paths in shown.items() for path in paths[old:]]
    learned = frozenset(sha256_of(photo.path)[:DIGITS] for photo in train)
    head = Head(np.zeros((2, 8), np.float32), np.zeros(2, np.float32), OLD, 1.0)
    return Base(folder, HW, head, learned, train, judges, [], lambda _: None)


def count(split: Split) -> tuple[dict[str, int], dict[str, int]]:
    """Photos of each class that teach, and that judge."""
    teach, judge = (Counter(split.classes[i.label] for i in items) for items in (split.train, split.val))
    return dict(teach), dict(judge)


def test_a_new_class_stands_behind_the_old_ones_which_are_rehearsed(tmp_path: Path) -> None:
    split = with_rehearsal(photos_of(tmp_path / "new", "red", count=8), None, base_of(tmp_path), OPTIONS)
    assert split.classes == ("blue", "green", "red")
    assert count(split) == ({"blue": 4, "green": 4, "red": 6}, {"blue": 3, "green": 3, "red": 2})


def test_nothing_that_taught_the_network_judges_it_now(tmp_path: Path) -> None:
    base = base_of(tmp_path)
    photos_of(tmp_path / "old", "red", count=8)  # the old photos again, and a new class among them
    split = with_rehearsal(tmp_path / "old", None, base, OPTIONS)
    assert not any(base.knows(item) for item in split.val)
    assert count(split) == ({"blue": 10, "green": 10, "red": 6}, {"blue": 3, "green": 3, "red": 2})
    assert not {item.digest for item in split.train} & {item.digest for item in split.val}


def test_new_photos_of_an_old_class_teach_first_and_old_ones_fill_up(tmp_path: Path) -> None:
    new = photos_of(tmp_path / "new", "blue", first=50, count=4)
    split = with_rehearsal(new, None, base_of(tmp_path), OPTIONS)
    teach, judge = count(split)
    assert (teach, judge) == ({"blue": 4, "green": 4}, {"blue": 4, "green": 3})
    assert sum(item.path.is_relative_to(new) for item in split.train) == 3


def test_the_same_draw_follows_from_the_same_seed(tmp_path: Path) -> None:
    new, base = photos_of(tmp_path / "new", "red", count=8), base_of(tmp_path)
    first, again, other = (
        with_rehearsal(new, None, base, replace(OPTIONS, seed=seed)).train for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def taught(folder: Path, *numbers: int, colour: str = "red", label: str = "mug") -> list[Taught]:
    """Photos as a bundle keeps them: in other bytes than the files they came from."""
    found = []
    for number in numbers:
        path = photos_of(folder, colour, first=number, count=1) / colour / f"{number:02}.png"
        pixels = digest_of(fit(picture(colour, number), HW))
        found.append(Taught(Item(path, 0, f"store {number}", None), label, pixels))
    return found


def test_what_was_taught_is_a_class_even_where_data_shows_another(tmp_path: Path) -> None:
    base = replace(base_of(tmp_path), taught=taught(tmp_path / "store", 70, 71, 72, 73))
    new = photos_of(tmp_path / "new", "blue", first=80, count=4)
    split = with_rehearsal(new, None, base, OPTIONS)
    assert split.classes == ("blue", "green", "mug")
    teach, judge = count(split)
    assert (teach["mug"], judge["mug"]) == (3, 1)


def test_a_photo_that_was_taught_and_stands_in_data_counts_once(tmp_path: Path) -> None:
    base = replace(base_of(tmp_path), taught=taught(tmp_path / "store", 0, 1, 70, label="red"))
    split = with_rehearsal(photos_of(tmp_path / "new", "red", count=4), None, base, OPTIONS)
    of_red = [item for item in (*split.train, *split.val) if split.classes[item.label] == "red"]
    assert len(of_red) == 5


def test_an_old_class_without_a_photo_is_refused_since_it_would_be_forgotten(tmp_path: Path) -> None:
    base = replace(base_of(tmp_path), train=[], val=[])
    new = photos_of(tmp_path / "new", "red", "blue", first=40, count=4)
    with pytest.raises(TrainingError, match=r"(?s)no photo of green, .* would forget.*--init RUN.*teach"):
        with_rehearsal(new, None, base, OPTIONS)


def test_photos_that_are_gone_rehearse_nothing(tmp_path: Path) -> None:
    base = base_of(tmp_path)
    for photo in (*base.train, *base.val):
        if photo.label == 1:
            photo.path.unlink()
    with pytest.raises(TrainingError, match="no photo of green"):
        with_rehearsal(photos_of(tmp_path / "new", "red", count=4), None, base, OPTIONS)


def test_judges_that_taught_the_network_are_refused(tmp_path: Path) -> None:
    base = base_of(tmp_path)
    new = photos_of(tmp_path / "new", "red", count=4)
    with pytest.raises(TrainingError, match="learned from 20 of the 26 photos that would judge now"):
        with_rehearsal(new, tmp_path / "old", base, OPTIONS)


def test_a_folder_for_judging_is_taken_beside_the_runs_own_judges(tmp_path: Path) -> None:
    val = photos_of(tmp_path / "val", "red", first=60, count=5)
    split = with_rehearsal(photos_of(tmp_path / "new", "red", count=4), val, base_of(tmp_path), OPTIONS)
    assert count(split) == ({"blue": 4, "green": 4, "red": 4}, {"blue": 3, "green": 3, "red": 5})


def test_shards_and_folders_without_classes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no class folders"):
        with_rehearsal(tmp_path / "empty", None, base_of(tmp_path), OPTIONS)
    (tmp_path / "empty" / "0.tar").touch()
    with pytest.raises(DataError, match="not in shards"):
        with_rehearsal(tmp_path / "empty", None, base_of(tmp_path), OPTIONS)
