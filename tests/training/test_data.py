"""From a folder to arrays: what is found, what is left out and why, and the cache of decoded photos."""

import shutil
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgecam_training.data as data_module
from edgecam_engines.errors import DataError, OutputError
from edgecam_engines.geometry import fit
from edgecam_engines.photo import read_photo
from edgecam_training.data import Split, cache_folder, decode, find_photos
from edgecam_training.items import Item, read_item
from training.photo_kit import COLOURS, make_photos, picture, save

CLASSES = tuple(COLOURS)


def find(data: Path, *, val_share: float = 0.25, min_photos: int = 2, seed: int = 0) -> Split:
    return find_photos(data, val_share=val_share, min_photos=min_photos, seed=seed)


def names(items: list[Item]) -> set[str]:
    return {f"{item.path.parent.name}/{item.path.name}" for item in items}


def reasons(split: Split) -> dict[str, str]:
    return {f"{problem.path.parent.name}/{problem.path.name}": problem.reason for problem in split.problems}


def bomb(path: Path) -> None:
    """A valid PNG header that promises 60,000 x 60,000 pixels, and next to nothing behind it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999))
    )


def truncated(path: Path) -> None:
    whole = save(path, picture("green", 99, (200, 200))).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty.jpg": (lambda path: path.write_bytes(b""), "0 bytes"),
    "cut.jpg": (truncated, "truncated"),
    "cut.png": (truncated, ""),
    "words.jpg": (lambda path: path.write_text("this is no photo"), "not an image"),
    "bomb.png": (bomb, "absurdly large"),
    "notes.txt": (lambda path: path.write_text("bought in May"), "not a photo by its name"),
    "gone.jpg": (lambda path: path.symlink_to(path.with_name("nowhere.jpg")), "No such file"),
}


def test_each_folder_is_a_class_and_its_photos_carry_its_number(tmp_path: Path) -> None:
    split = find(make_photos(tmp_path / "photos", count=8))
    assert split.classes == CLASSES
    assert all(item.path.parent.name == split.classes[item.label] for item in split.train + split.val)
    assert split.problems == []


def test_the_split_takes_the_share_of_each_class_and_parts_no_photo_twice(tmp_path: Path) -> None:
    split = find(make_photos(tmp_path / "photos", count=8), val_share=0.25)
    assert Counter(item.label for item in split.val) == {0: 2, 1: 2, 2: 2}
    assert not names(split.train) & names(split.val)
    assert len(names(split.train) | names(split.val)) == 24


def test_the_split_repeats_with_its_seed_and_changes_with_another(tmp_path: Path) -> None:
    data = make_photos(tmp_path / "photos")
    assert find(data, seed=3) == find(data, seed=3)
    assert names(find(data, seed=3).val) != names(find(data, seed=4).val)


def test_the_split_does_not_depend_on_where_the_photos_lie(tmp_path: Path) -> None:
    here = find(make_photos(tmp_path / "here"))
    there = find(make_photos(tmp_path / "far" / "there"))
    assert names(here.val) == names(there.val)


def test_a_val_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    make_photos(tmp_path / "train", count=6)
    make_photos(tmp_path / "val", count=3, first=50)
    split = find(tmp_path)
    assert (len(split.train), len(split.val)) == (18, 9)
    assert {item.path.parts[-3] for item in split.val} == {"val"}
    assert split.classes == CLASSES


def test_a_val_folder_may_lack_a_class(tmp_path: Path) -> None:
    make_photos(tmp_path / "train", count=6)
    make_photos(tmp_path / "val", count=3, first=50)
    shutil.rmtree(tmp_path / "val" / "green")
    assert {item.label for item in find(tmp_path).val} == {CLASSES.index("blue"), CLASSES.index("red")}


def test_hidden_files_and_folders_are_passed_over_in_silence(tmp_path: Path) -> None:
    data = make_photos(tmp_path / "photos")
    (data / ".git").mkdir()
    (data / "red" / ".DS_Store").write_text("x")
    split = find(data)
    assert split.classes == CLASSES
    assert split.problems == []


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_left_out_by_name_with_its_reason(tmp_path: Path, name: str) -> None:
    data = make_photos(tmp_path / "photos")
    spoil, reason = BAD_FILES[name]
    spoil(data / "red" / name)
    split = find(data)
    assert list(reasons(split)) == [f"red/{name}"]
    assert reason in reasons(split)[f"red/{name}"]
    assert reasons(split)[f"red/{name}"].strip()
    assert len(split.train) + len(split.val) == 36


def test_a_photo_that_is_also_in_val_is_taken_out_of_train(tmp_path: Path) -> None:
    make_photos(tmp_path / "train", count=6)
    make_photos(tmp_path / "val", count=3, first=50)
    # By content: another name, and even another class.
    shutil.copy(tmp_path / "val" / "red" / "50.png", tmp_path / "train" / "red" / "renamed.png")
    shutil.copy(tmp_path / "val" / "red" / "51.png", tmp_path / "train" / "blue" / "misplaced.png")
    split = find(tmp_path)
    assert "in val: 50.png" in reasons(split)["red/renamed.png"]
    assert "in val: 51.png" in reasons(split)["blue/misplaced.png"]
    assert not {item.digest for item in split.train} & {item.digest for item in split.val}
    assert len(split.val) == 9


def test_without_a_val_folder_copies_cannot_end_up_on_both_sides(tmp_path: Path) -> None:
    data = make_photos(tmp_path / "photos")
    for number in range(12):
        shutil.copy(data / "red" / f"{number:02}.png", data / "red" / f"copy{number:02}.png")
    split = find(data)
    assert not {item.digest for item in split.train} & {item.digest for item in split.val}
    assert sum("is here twice" in reason for reason in reasons(split).values()) == 12


def test_a_photo_under_two_classes_serves_neither(tmp_path: Path) -> None:
    data = make_photos(tmp_path / "photos")
    shutil.copy(data / "red" / "03.png", data / "blue" / "puzzle.png")
    split = find(data)
    told = reasons(split)
    assert set(told) == {"red/03.png", "blue/puzzle.png"}
    assert "two classes" in told["red/03.png"]
    assert "puzzle.png" in told["red/03.png"]  # each names the other
    assert "03.png" in told["blue/puzzle.png"]
    assert not set(told) & names(split.train + split.val)


def test_a_class_with_too_few_photos_is_refused_by_name_and_count(tmp_path: Path) -> None:
    data = make_photos(tmp_path / "photos")
    for photo in list((data / "green").iterdir())[3:]:
        photo.unlink()
    (data / "green" / "empty.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"green \(2\)") as caught:
        find(data, min_photos=5)
    assert "empty.jpg: the file has 0 bytes" in str(caught.value)  # why there are so few
    assert "--min-photos" in str(caught.value)
    assert "red" not in str(caught.value).partition("Left out")[0]


def test_one_class_alone_is_refused_with_a_way_out(tmp_path: Path) -> None:
    save(tmp_path / "photos" / "red" / "0.png", picture("red", 0))
    with pytest.raises(DataError, match=r"one class folder \(red\)") as caught:
        find(tmp_path / "photos")
    assert "photos/other" in str(caught.value)


def test_a_folder_without_class_folders_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "photos" / "loose.png", picture("red", 0))
    with pytest.raises(DataError, match="no class folders"):
        find(tmp_path / "photos")
    with pytest.raises(DataError, match="is not a folder"):
        find(tmp_path / "photos" / "loose.png")


def test_a_val_class_that_train_lacks_is_refused_by_name(tmp_path: Path) -> None:
    make_photos(tmp_path / "train", count=6)
    make_photos(tmp_path / "val", count=3, first=50)
    save(tmp_path / "val" / "purple" / "0.png", picture("red", 77))
    with pytest.raises(DataError, match="purple"):
        find(tmp_path)


def test_no_sound_photo_left_for_validation_is_refused(tmp_path: Path) -> None:
    make_photos(tmp_path / "train", count=6)
    for colour in COLOURS:
        (tmp_path / "val" / colour).mkdir(parents=True)
    (tmp_path / "val" / "red" / "empty.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="no photo for validation"):
        find(tmp_path)


# -- the cache


@pytest.mark.parametrize(("hw", "suffix"), [((32, 48), ".png"), ((64, 96), ".jpg"), ((80, 56), ".png")])
def test_decoded_photos_are_exactly_what_the_camera_path_makes_of_them(
    tmp_path: Path, hw: tuple[int, int], suffix: str
) -> None:
    items = find(make_photos(tmp_path / "photos", count=4, hw=(64, 96), suffix=suffix)).val
    frames = decode(items, hw, cache_folder())
    assert frames.dtype == np.uint8
    assert frames.shape == (len(items), *hw, 3)
    for item, frame in zip(items, frames, strict=True):
        np.testing.assert_array_equal(frame, fit(read_photo(item.path), hw))


def test_photos_are_decoded_once_and_then_read_from_the_cache(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = find(make_photos(tmp_path / "photos", count=4)).train
    first = np.array(decode(items, (48, 48), cache_folder()))
    assert cache_folder().is_relative_to(own_cache)
    opened: list[Path] = []
    monkeypatch.setattr(data_module, "read_item", lambda item: opened.append(item.path) or read_item(item))
    np.testing.assert_array_equal(decode(items, (48, 48), cache_folder()), first)
    assert opened == []
    decode(items, (48, 64), cache_folder())  # another size is another file
    assert len(opened) == len(items)
    decode(items[1:], (48, 48), cache_folder())  # and so are other photos
    assert len(opened) == 2 * len(items) - 1


def test_the_cache_notices_a_photo_that_changed_under_its_name(tmp_path: Path) -> None:
    data = make_photos(tmp_path / "photos", count=4)
    before = find(data)
    decode(before.train, (32, 32), cache_folder())
    save(before.train[0].path, picture("red", 1234))
    after = find(data)
    assert names(after.train) == names(before.train)
    frames = decode(after.train, (32, 32), cache_folder())
    np.testing.assert_array_equal(frames[0], fit(read_photo(after.train[0].path), (32, 32)))


def test_a_full_disk_is_an_output_error_and_leaves_nothing(tmp_path: Path, small_disk: Path) -> None:
    items = find(make_photos(tmp_path / "photos", count=8)).train  # 18 photos, 498 kB at that size
    with pytest.raises(OutputError, match="XDG_CACHE_HOME") as caught:
        decode(items, (96, 96), small_disk / "edgecam")
    assert "No space left" in str(caught.value)
    assert [path for path in small_disk.rglob("*") if path.is_file()] == []
    decode(items, (32, 32), small_disk / "edgecam")  # what does fit is still possible


def test_a_photo_that_goes_bad_between_look_and_decoding_leaves_nothing(tmp_path: Path) -> None:
    items = find(make_photos(tmp_path / "photos", count=4)).train
    items[-1].path.write_bytes(b"")
    with pytest.raises(DataError, match="0 bytes"):
        decode(items, (32, 32), cache_folder())
    assert list(cache_folder().iterdir()) == []
