"""The WSOL benchmark's metadata: boxes and masks as its own code takes them, and every bad line named."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from edgecam_calibration.truth import (
    ImageTruth,
    Truth,
    protocol_boxes,
    protocol_mask,
    read_truth,
    resize_boxes,
)
from edgecam_engines.errors import DataError

IDS = "a/1.jpg\na/2.jpg\n"
LABELS = "a/1.jpg,0\na/2.jpg,3\n"
SIZES = "a/1.jpg,500,300\na/2.jpg,448,224\n"
BOXES = "a/1.jpg,156,163,318,230\na/1.jpg,0,0,499,299\na/2.jpg,2,3,5,9\n"


def metadata(folder: Path, **texts: str | None) -> Path:
    """A metadata folder; a file given as None is left away."""
    given_ = {"image_ids": IDS, "class_labels": LABELS, "image_sizes": SIZES, "localization": BOXES} | texts
    for name, text in given_.items():
        if text is not None:
            (folder / f"{name}.txt").write_text(text)
    return folder


def png(path: Path, pixels: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def problems(truth: Truth) -> list[tuple[str, str, bool]]:
    return [(bad.path.name, bad.where, bad.kept) for bad in truth.problems]


def only_reason(truth: Truth) -> str:
    assert len(truth.problems) == 1, truth.problems
    return truth.problems[0].reason


def test_boxes_sizes_and_labels_are_read_as_stored(tmp_path: Path) -> None:
    truth = read_truth(metadata(tmp_path))
    first, second = truth.images["a/1.jpg"], truth.images["a/2.jpg"]
    assert (truth.format, truth.problems) == ("wsol", ())
    assert first.boxes.tolist() == [[156, 163, 318, 230], [0, 0, 499, 299]]
    assert second.boxes.tolist() == [[2, 3, 5, 9]]
    assert (first.size, second.size) == ((500, 300), (448, 224))
    assert (first.label, second.label) == (0, 3)


def test_images_come_in_the_order_of_image_ids(tmp_path: Path) -> None:
    truth = read_truth(metadata(tmp_path, image_ids="a/2.jpg\na/1.jpg\n"))
    assert list(truth.images) == ["a/2.jpg", "a/1.jpg"]


@pytest.mark.parametrize(
    ("box", "size", "to", "scaled"),
    [
        ([156, 163, 318, 230], (500, 300), (224, 224), [69, 121, 142, 171]),  # 69.888 is cut, not rounded
        ([0, 0, 499, 299], (500, 300), (224, 224), [0, 0, 223, 223]),
        ([10, 10, 10, 10], (224, 448), (224, 224), [10, 5, 10, 5]),
        ([1, 2, 3, 4], (2, 4), (4, 2), [2, 1, 6, 2]),
    ],
)
def test_boxes_are_scaled_and_cut_to_whole_pixels(
    box: list[int], size: tuple[int, int], to: tuple[int, int], scaled: list[int]
) -> None:
    assert resize_boxes(np.array([box], np.float64), size, to).tolist() == [scaled]


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 5000), min_size=4, max_size=4),
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
)
def test_scaling_rounds_like_plain_python_floats(box: list[int], size: tuple[int, int]) -> None:
    expected = [int(float(v) * 224.0 / float(size[k % 2])) for k, v in enumerate(box)]
    assert resize_boxes(np.array([box], np.float64), size).tolist() == [expected]


def test_protocol_boxes_use_the_size_in_the_metadata_or_the_one_given(tmp_path: Path) -> None:
    image = read_truth(metadata(tmp_path)).images["a/2.jpg"]
    assert protocol_boxes(image, (1, 1)).tolist() == [[1, 3, 2, 9]]
    unsized = ImageTruth("x", boxes=image.boxes, box_labels=image.box_labels)
    assert protocol_boxes(unsized, (448, 224)).tolist() == [[1, 3, 2, 9]]
    with pytest.raises(ValueError, match="size of x is not known"):
        protocol_boxes(unsized)


def test_masks_are_joined_and_what_is_ignored_yields_to_objects(tmp_path: Path) -> None:
    left, right, ignore = np.zeros((3, 224, 224), np.uint8)
    left[10:20, 10:20], right[10:20, 15:30], ignore[0:15, 0:100] = 255, 255, 255
    for name, pixels in {"l.png": left, "r.png": right, "i.png": ignore}.items():
        png(tmp_path / "masks" / name, pixels)
    listed = "a/1.jpg,l.png,i.png\na/1.jpg,r.png,\na/2.jpg,r.png,\n"
    truth = read_truth(metadata(tmp_path, localization=listed, image_sizes=None), masks=tmp_path / "masks")
    got = protocol_mask(truth.images["a/1.jpg"])
    expected = np.zeros((224, 224), np.uint8)
    expected[0:15, 0:100] = 255
    expected[10:20, 10:30] = 1
    assert truth.problems == ()
    assert got.dtype == np.uint8
    assert np.array_equal(got, expected)
    assert np.array_equal(protocol_mask(truth.images["a/2.jpg"]), right > 0)


def test_a_mask_is_resized_with_nearest_neighbour_and_stays_sharp(tmp_path: Path) -> None:
    small = np.zeros((2, 4), np.uint8)
    small[1, 3] = 1  # any grey above one half is an object
    png(tmp_path / "m.png", small)
    truth = read_truth(metadata(tmp_path, localization="a/1.jpg,m.png,\na/2.jpg,m.png,\n", image_sizes=None))
    got = protocol_mask(truth.images["a/1.jpg"])
    assert got[112:, 168:].all()
    assert got.sum() == 112 * 56


def test_masks_whose_files_are_colour_or_transparent_are_read_by_their_grey(tmp_path: Path) -> None:
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[..., 3] = 255
    rgba[:2, :, :3] = 255
    png(tmp_path / "m.png", rgba)
    truth = read_truth(metadata(tmp_path, localization="a/1.jpg,m.png,\na/2.jpg,m.png,\n", image_sizes=None))
    assert truth.images["a/1.jpg"].mask((4, 4)).tolist() == [[1] * 4] * 2 + [[0] * 4] * 2


@pytest.mark.parametrize(
    ("line", "reason", "kept"),
    [
        ("a/2.jpg,1,2,3", "3 or 5 fields expected", False),
        ("a/2.jpg,1,2,3,4,5", "3 or 5 fields expected", False),
        ("a/2.jpg,one,2,3,4", "not four numbers", False),
        ("a/2.jpg,nan,2,3,4", "not four numbers", False),
        ("a/2.jpg,9,2,3,4", "ends before it begins", False),
        ("a/2.jpg,3,9,5,4", "ends before it begins", False),
        ("a/2.jpg,448,2,460,4", "outside the image of 448 x 224", False),
        ("a/2.jpg,2,224,3,230", "outside the image", False),
        ("a/2.jpg,2,2,448,4", "partly outside the image of 448 x 224 pixels, whose last is 447,223", True),
        ("a/2.jpg,-4,2,8,4", "partly outside", True),
        ("a/2.jpg,4,2,4,9", "single pixel", True),
        ("a/2.jpg,2,3,5,9", "the same box stands on line 3", False),
        ("a/9.jpg,2,3,5,9", "not in image_ids.txt", False),
        ("a/2.jpg,mask.png,", "5 fields expected as on the lines before", False),
    ],
)
def test_a_bad_line_is_reported_by_its_number(tmp_path: Path, line: str, reason: str, kept: bool) -> None:
    truth = read_truth(metadata(tmp_path, localization=f"{BOXES}{line}\n"))
    assert problems(truth) == [("localization.txt", "line 4", kept)]
    assert reason in only_reason(truth)
    assert len(truth.images["a/2.jpg"].boxes) == 1 + kept


@pytest.mark.parametrize(
    ("name", "text", "where", "reason"),
    [
        ("image_ids", IDS + "a/1.jpg\n", "line 3", "stands on line 1"),
        ("class_labels", LABELS + "a/1.jpg,2\n", "line 3", "has a label already"),
        ("class_labels", LABELS + "a/1.jpg\n", "line 3", "2 fields expected"),
        ("class_labels", "a/1.jpg,0\n", "", "a/2.jpg has no label"),
        ("class_labels", None, "", "no such file"),
        ("image_sizes", SIZES + "a/1.jpg,5,5\n", "line 3", "has a size already"),
        ("image_sizes", SIZES + "a/3.jpg,0,5\n", "line 3", "two whole numbers from 1"),
        ("image_ids", IDS + "a/3.jpg\n", "", "a/3.jpg has no label"),
        ("image_ids", IDS + "a/3.jpg\n", "", "a/3.jpg has no line"),
    ],
)
def test_what_is_wrong_in_the_other_files_is_reported(
    tmp_path: Path, name: str, text: str | None, where: str, reason: str
) -> None:
    truth = read_truth(metadata(tmp_path, **{name: text}))
    assert any(bad.where == where and reason in bad.reason for bad in truth.problems)


def test_a_label_that_is_no_class_is_reported_and_left_out(tmp_path: Path) -> None:
    truth = read_truth(metadata(tmp_path), classes=("cat", "dog"))
    assert problems(truth) == [("class_labels.txt", "line 2", False)]
    assert "unknown class 3" in only_reason(truth)
    assert truth.images["a/2.jpg"].label is None


def test_a_box_whose_image_has_no_size_is_left_out_and_reported(tmp_path: Path) -> None:
    truth = read_truth(metadata(tmp_path, image_sizes="a/1.jpg,500,300\n"))
    assert problems(truth) == [("localization.txt", "line 3", False)]
    assert truth.images["a/2.jpg"].boxes.shape == (0, 4)


def test_boxes_without_any_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Add image_sizes\.txt"):
        read_truth(metadata(tmp_path, image_sizes=None))


@pytest.mark.parametrize("name", ["image_ids", "localization"])
def test_a_folder_that_lacks_a_file_is_refused_by_the_files_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=rf"{name}\.txt cannot be read"):
        read_truth(metadata(tmp_path, **{name: None}), "wsol")


def test_a_localization_file_of_nothing_usable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no usable line"):
        read_truth(metadata(tmp_path, localization="hello\n\n"))


def test_missing_damaged_and_wrongly_sized_masks_are_reported(tmp_path: Path) -> None:
    png(tmp_path / "good.png", np.ones((224, 448), np.uint8))
    png(tmp_path / "small.png", np.ones((2, 2), np.uint8))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    lines = "a/1.jpg,gone.png,broken.png\na/2.jpg,good.png,\na/2.jpg,small.png,\na/2.jpg,good.png,\n"
    truth = read_truth(metadata(tmp_path, localization=lines))
    assert [(bad.where, bad.kept) for bad in truth.problems] == [
        ("line 1", False),
        ("line 1", False),
        ("line 3", True),
        ("line 4", False),
    ]
    reasons = [bad.reason for bad in truth.problems]
    assert "gone.png cannot be used: there is no such file" in reasons[0]
    assert "broken.png cannot be used: it is not an image" in reasons[1]
    assert "2 x 2 pixels, its image 448 x 224" in reasons[2]
    assert "listed twice" in reasons[3]
    assert truth.images["a/1.jpg"].masks is None
    assert truth.images["a/2.jpg"].mask().all()


def test_a_second_ignore_mask_is_reported_but_the_same_one_again_is_not(tmp_path: Path) -> None:
    for name in ("m1.png", "m2.png", "m3.png", "i.png", "j.png"):
        png(tmp_path / name, np.ones((2, 2), np.uint8))
    lines = "a/1.jpg,m1.png,i.png\na/1.jpg,m2.png,i.png\na/1.jpg,m3.png,j.png\na/2.jpg,m1.png,\n"
    truth = read_truth(metadata(tmp_path, localization=lines, image_sizes=None))
    assert problems(truth) == [("localization.txt", "line 3", False)]
    assert "j.png" in only_reason(truth)


def test_a_problem_reads_as_a_sentence_with_its_place(tmp_path: Path) -> None:
    truth = read_truth(metadata(tmp_path, localization=BOXES + "a/2.jpg,-4,2,8,4\na/2.jpg,x\n"))
    malformed, outside = sorted(map(str, truth.problems))[::-1]
    assert {malformed.split(": ")[0], outside.split(": ")[0]} == {
        f"{tmp_path / 'localization.txt'}, line 4",
        f"{tmp_path / 'localization.txt'}, line 5",
    }
    assert {text.rsplit("(", 1)[1] for text in (malformed, outside)} == {"left out)", "used as it stands)"}
