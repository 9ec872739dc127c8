"""Which photo is which image of the annotations: by path, by name, never by guess."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgecam_calibration.truth import ImageTruth, Truth, match
from edgecam_calibration.truth.match import pair


def truth_of(*ids: str, size: tuple[int, int] | None = (8, 6)) -> Truth:
    return Truth("csv", {image_id: ImageTruth(image_id, size) for image_id in ids})


def photo(path: Path, *, orientation: int = 1) -> Path:
    """A photo that is stored 8 wide and 6 high."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(path, exif=exif)
    return path


@pytest.mark.parametrize(
    ("name", "image_id"),
    [
        ("cat/001.jpg", "cat/001.jpg"),
        ("cat/001.jpg", "cat/001"),
        ("cat/001.jpg", "val/cat/001.jpeg"),
        ("test/cat/001.jpg", "cat/001.jpg"),
        ("n01/ILSVRC2012_val_1.JPEG", "val/ILSVRC2012_val_1.JPEG"),
        ("n01/ILSVRC2012_val_1.JPEG", "ILSVRC2012_val_1"),
        ("dog/2007.v2.jpg", "2007.v2"),
    ],
)
def test_a_photo_is_found_by_its_path_or_its_name(name: str, image_id: str) -> None:
    assert pair([name, "other/x.jpg"], [image_id, "y"]) == ({name: image_id}, {})


def test_the_surer_way_wins_whatever_the_order() -> None:
    names, ids = ["a/1.jpg", "b/1.jpg"], ["b/1", "a/1"]
    assert pair(names, ids) == ({"a/1.jpg": "a/1", "b/1.jpg": "b/1"}, {})


def test_a_name_that_two_photos_or_two_images_share_decides_nothing() -> None:
    assert pair(["a/1.jpg", "b/1.jpg"], ["1.jpg"]) == ({}, {"a/1.jpg": ["1.jpg"], "b/1.jpg": ["1.jpg"]})
    assert pair(["a/1.jpg"], ["x/1", "y/1"]) == ({}, {"a/1.jpg": ["x/1", "y/1"]})
    assert pair(["a/1.jpg", "b/1.jpg"], ["a/1", "c/1"]) == ({"a/1.jpg": "a/1"}, {"b/1.jpg": ["c/1"]})


def test_a_photo_whose_only_namesake_belongs_to_another_has_simply_no_annotation() -> None:
    assert pair(["a/1.jpg", "b/1.jpg"], ["a/1"]) == ({"a/1.jpg": "a/1"}, {})


NAMES = [f"{folder}{n}{suffix}" for folder in ("", "a/", "b/") for n in "12" for suffix in ("", ".jpg")]


@settings(deadline=None)
@given(st.lists(st.sampled_from(NAMES), unique=True), st.lists(st.sampled_from(NAMES), unique=True))
def test_no_image_goes_to_two_photos_and_equal_paths_always_meet(names: list[str], ids: list[str]) -> None:
    pairs, ambiguous = pair(names, ids)
    assert len(set(pairs.values())) == len(pairs)
    assert not set(pairs) & set(ambiguous)
    assert all(pairs[name] == name for name in set(names) & set(ids))


def test_match_says_which_photos_and_images_are_left_over(tmp_path: Path) -> None:
    photos = [photo(tmp_path / name) for name in ("cat/1.jpg", "dog/1.jpg", "dog/2.jpg", "dog/3.jpg")]
    matched = match(truth_of("cat/1.jpg", "2", "bird/9.jpg", "x/1.jpg"), photos, tmp_path)
    assert {p.name: t.image_id for p, t in matched.found.items()} == {"1.jpg": "cat/1.jpg", "2.jpg": "2"}
    assert matched.photos_without == [photos[1], photos[3]]
    assert matched.truth_without == ["bird/9.jpg", "x/1.jpg"]
    assert [bad.path for bad in matched.problems] == [photos[1]]
    assert "x/1.jpg" in matched.problems[0].reason


def test_accents_match_however_they_are_stored(tmp_path: Path) -> None:
    file = photo(tmp_path / "caf\u0065\u0301.jpg")
    assert list(match(truth_of("caf\u00e9.jpg"), [file], tmp_path).found) == [file]


def test_a_photo_of_another_size_than_its_annotation_is_reported_and_used(tmp_path: Path) -> None:
    files = [photo(tmp_path / "1.jpg"), photo(tmp_path / "2.jpg", orientation=6)]
    matched = match(truth_of("1.jpg", "2.jpg"), files, tmp_path)
    assert list(matched.found) == files
    assert [(bad.path, bad.kept) for bad in matched.problems] == [(files[1], True)]
    assert "the photo has 6 x 8 pixels, its annotation is for 8 x 6" in matched.problems[0].reason


def test_boxes_of_unknown_size_are_measured_against_the_photo(tmp_path: Path) -> None:
    boxes = np.array([[0, 0, 7, 5], [8, 0, 9, 5], [4, 4, 8, 5]], np.float64)
    image = ImageTruth("1", boxes=boxes, box_labels=("a", "b", "c"))
    file = photo(tmp_path / "1.jpg")
    matched = match(Truth("csv", {"1": image}), [file], tmp_path)
    assert matched.found[file].size == (8, 6)
    assert matched.found[file].boxes.tolist() == [[0, 0, 7, 5], [4, 4, 8, 5]]
    assert matched.found[file].box_labels == ("a", "c")
    assert [(bad.where, bad.kept) for bad in matched.problems] == [("box 2", False), ("box 3", True)]


def test_a_photo_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"nothing")
    matched = match(truth_of("1.jpg"), [tmp_path / "1.jpg"], tmp_path)
    assert "cannot be read" in matched.problems[0].reason


def test_an_image_without_a_mask_or_a_size_says_so() -> None:
    with pytest.raises(ValueError, match="x has no mask"):
        ImageTruth("x").mask((2, 2))
