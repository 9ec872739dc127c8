"""COCO's instances file: boxes, polygons and run lengths drawn by hand, and every bad entry named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecam_calibration.truth import Truth, read_truth
from edgecam_calibration.truth.shapes import Polygons, RunLengths, parse_counts
from edgecam_engines.errors import DataError

SQUARE = [[1, 1, 3, 1, 3, 3, 1, 3]]  # edges 1..3: the pixels 1 and 2 each way


def note(**said: Any) -> dict[str, Any]:
    return {"id": 41, "image_id": 1, "category_id": 7, "bbox": [1, 1, 2, 2], "iscrowd": 0} | said


def document(*notes: dict[str, Any], w: Any = 6, h: Any = 4, **more: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 1, "file_name": "a/1.jpg", "width": w, "height": h}],
        "categories": [{"id": 7, "name": "dog"}, {"id": 9, "name": "cat"}],
        "annotations": list(notes),
    } | more


def read(folder: Path, said: Any, **options: Any) -> Truth:
    file = folder / "instances.json"
    file.write_text(json.dumps(said))
    return read_truth(file, **options)


def only_problem(truth: Truth) -> str:
    assert len(truth.problems) == 1, truth.problems
    return str(truth.problems[0])


def runs(mask: NDArray[np.bool_]) -> list[int]:
    """Plain run lengths of a mask (h, w), column by column, beginning with background."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    return np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()


def compressed(counts: list[int]) -> str:
    """The run lengths as COCO's text, a character at a time as its C code writes them."""
    text = ""
    for k, count in enumerate(counts):
        number = count - (counts[k - 2] if k > 2 else 0)
        while True:
            digit, number = number & 31, number >> 5
            more = number != (-1 if digit & 16 else 0)
            text += chr(48 + digit + 32 * more)
            if not more:
                break
    return text


def test_boxes_of_edges_become_the_pixels_they_cover(tmp_path: Path) -> None:
    notes = note(), note(id=42, category_id=9, bbox=[0, 0, 6, 4]), note(id=43, bbox=[0.5, 1.25, 2.5, 2])
    truth = read(tmp_path, document(*notes))
    image = truth.images["a/1.jpg"]
    assert (truth.format, truth.classes, truth.problems) == ("coco", ("dog", "cat"), ())
    assert image.boxes.tolist() == [[1, 1, 2, 2], [0, 0, 5, 3], [0.5, 1.25, 2, 2.25]]
    assert (image.box_labels, image.label, image.size) == (("dog", "cat", "dog"), None, (6, 4))
    assert image.masks is None


def test_an_image_without_annotations_is_kept(tmp_path: Path) -> None:
    truth = read(tmp_path, document())
    assert truth.problems == ()
    assert truth.images["a/1.jpg"].boxes.shape == (0, 4)


def test_a_polygon_covers_the_pixels_whose_centres_are_inside(tmp_path: Path) -> None:
    image = read(tmp_path, document(note(segmentation=SQUARE))).images["a/1.jpg"]
    expected = np.zeros((4, 6), np.uint8)
    expected[1:3, 1:3] = 1
    assert np.array_equal(image.mask(), expected)


def test_several_outlines_are_one_object_and_a_triangle_is_filled_row_by_row(tmp_path: Path) -> None:
    outlines = [[0, 0, 2, 0, 2, 2, 0, 2], [2, 4, 6, 4, 6, 0]]
    image = read(tmp_path, document(note(segmentation=outlines))).images["a/1.jpg"]
    assert image.mask().tolist() == [
        [1, 1, 0, 0, 0, 1],
        [1, 1, 0, 0, 1, 1],
        [0, 0, 0, 1, 1, 1],
        [0, 0, 1, 1, 1, 1],
    ]


@settings(deadline=None)
@given(st.tuples(*[st.integers(0, 20)] * 4).filter(lambda b: b[0] < b[2] and b[1] < b[3]), st.integers(0, 3))
def test_a_rectangle_of_whole_pixels_is_exact_from_whichever_corner_it_is_drawn(
    box: tuple[int, int, int, int], start: int
) -> None:
    x0, y0, x1, y1 = box
    corners = np.roll([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], start, axis=0)
    expected = np.zeros((20, 20), dtype=bool)
    expected[y0:y1, x0:x1] = True
    for outline in (corners, corners[::-1]):
        drawn = Polygons((tuple(outline.ravel().tolist()),), (20, 20)).bits()
        assert np.array_equal(drawn, expected)


def test_run_lengths_go_down_the_columns() -> None:
    drawn = RunLengths((1, 2, 3), (3, 2)).bits()  # 3 wide, 2 high
    assert drawn.tolist() == [[False, True, False], [True, False, False]]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", ()),
        ("1", (1,)),
        ("o0", (31,)),  # 31 alone would have its sign bit set
        ("PP1", (1024,)),  # 0 + 0 * 32 + 1 * 1024
        ("5142", (5, 1, 4, 3)),  # the fourth is the second plus 2
        ("514O", (5, 1, 4, 0)),  # and here the second less 1
    ],
)
def test_compressed_run_lengths_are_read_as_documented(text: str, counts: tuple[int, ...]) -> None:
    assert parse_counts(text) == counts


@settings(deadline=None)
@given(st.integers(1, 70), st.integers(1, 9), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_any_mask_survives_both_run_length_codes(h: int, w: int, stretch: int, seed: int) -> None:
    coarse = np.random.default_rng(seed).random((h, w)) < 0.5
    mask = np.repeat(coarse, stretch, axis=0)
    counts, size = runs(mask), (mask.shape[1], mask.shape[0])
    for code in (counts, compressed(counts)):
        assert np.array_equal(RunLengths(parse_counts(code), size).bits(), mask)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**24), max_size=40))
def test_any_run_lengths_survive_compression(counts: list[int]) -> None:
    assert list(parse_counts(compressed(counts))) == counts


@pytest.mark.parametrize("as_text", [False, True])
def test_a_file_of_run_lengths_gives_the_mask(tmp_path: Path, as_text: bool) -> None:
    mask = np.zeros((4, 6), dtype=bool)
    mask[0, 0] = mask[3, 2:5] = True
    counts = compressed(runs(mask)) if as_text else runs(mask)
    image = read(tmp_path, document(note(segmentation={"size": [4, 6], "counts": counts}))).images["a/1.jpg"]
    assert np.array_equal(image.mask(), mask)


def test_a_crowd_has_no_box_and_is_ignored_where_no_object_is(tmp_path: Path) -> None:
    crowd = np.ones((4, 6), dtype=bool)
    crowd[3] = False
    said = note(id=42, iscrowd=1, bbox=[0, 0, 6, 3], segmentation={"size": [4, 6], "counts": runs(crowd)})
    image = read(tmp_path, document(note(segmentation=SQUARE), said)).images["a/1.jpg"]
    expected = np.where(crowd, 255, 0)
    expected[1:3, 1:3] = 1
    assert np.array_equal(image.mask(), expected)
    assert image.boxes.tolist() == [[1, 1, 2, 2]]


def test_an_object_without_an_outline_is_ignored_within_its_box(tmp_path: Path) -> None:
    image = read(tmp_path, document(note(segmentation=SQUARE), note(id=42, bbox=[4, 0, 2, 2]))).images[
        "a/1.jpg"
    ]
    expected = np.zeros((4, 6), np.uint8)
    expected[1:3, 1:3] = 1
    expected[0:2, 4:6] = 255
    assert np.array_equal(image.mask(), expected)
    assert len(image.boxes) == 2


def test_classes_are_painted_in_the_order_of_the_file(tmp_path: Path) -> None:
    right = note(id=42, category_id=9, bbox=[2, 1, 2, 2], segmentation=[[2, 1, 4, 1, 4, 3, 2, 3]])
    image = read(tmp_path, document(note(segmentation=SQUARE), right)).images["a/1.jpg"]
    assert image.masks is not None
    assert image.masks.class_map((4, 6), ["cat", "dog"])[1].tolist() == [0, 2, 1, 1, 0, 0]
    assert image.masks.class_map((4, 6), ["dog"])[1].tolist() == [0, 1, 255, 255, 0, 0]
    assert image.of_class("dog").mask()[1].tolist() == [0, 1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("said", "reason", "boxes"),
    [
        ({"bbox": [7, 1, 2, 2]}, "outside the image of 6 x 4", 0),
        ({"bbox": [4, 1, 4, 2]}, "partly outside", 1),
        ({"bbox": [1, 1, 0, 2]}, "ends before it begins", 0),
        ({"bbox": [1, 1, 2]}, "not four numbers", 0),
        ({"bbox": None}, "not four numbers", 0),
        ({"bbox": [1, 1, float("nan"), 2]}, "not four numbers", 0),
        ({"image_id": 5}, "image_id 5 is not among the images", 0),
        ({"image_id": [1]}, "image_id [1] is not among the images", 0),
        ({"category_id": 8}, "unknown class: category_id 8 is no category", 0),
        ({"segmentation": [[1, 1, 2, 2]]}, "at least three corners", 1),
        ({"segmentation": [[1, 1, 2, 2, 3, "x"]]}, "segmentation cannot be used", 1),
        ({"segmentation": [[1, 1, 2, 2, 3, float("inf")]]}, "no number", 1),
        ({"segmentation": [[1, 1, 9, 1, 9, 3]]}, "a polygon leaves the image of 6 x 4", 1),
        ({"segmentation": "everything"}, "neither a list of polygons nor run lengths", 1),
        ({"segmentation": {"size": [6, 4], "counts": [24]}}, "4 x 6 pixels, its image 6 x 4", 1),
        ({"segmentation": {"size": [4, 6], "counts": [23]}}, "add up to 23 pixels, not 6 x 4", 1),
        ({"segmentation": {"size": [4, 6], "counts": [-1, 25]}}, "negative", 1),
        ({"segmentation": {"size": [4, 6], "counts": [1.5, 22.5]}}, "not whole numbers", 1),
        ({"segmentation": {"size": [4, 6], "counts": "h!"}}, "damaged", 1),
        ({"segmentation": {"size": [4, 6], "counts": "o"}}, "damaged", 1),
        ({"segmentation": {"size": [4, 6], "counts": "oooooooooooo0"}}, "damaged", 1),
        ({"segmentation": {"size": [4, 6]}}, "counts", 1),
    ],
)
def test_a_bad_annotation_is_reported_by_its_id(
    tmp_path: Path, said: dict[str, Any], reason: str, boxes: int
) -> None:
    truth = read(tmp_path, document(note(**said)))
    assert truth.problems[0].where == "annotation 41"
    assert reason in only_problem(truth)
    assert len(truth.images["a/1.jpg"].boxes) == boxes
    assert truth.images["a/1.jpg"].masks is None


def test_a_box_given_twice_counts_once(tmp_path: Path) -> None:
    truth = read(tmp_path, document(note(), note(id=42)))
    assert truth.problems[0].where == "annotation 42"
    assert len(truth.images["a/1.jpg"].boxes) == 1


def test_objects_of_classes_not_asked_for_are_left_out_and_counted(tmp_path: Path) -> None:
    truth = read(
        tmp_path, document(note(), note(id=42, category_id=9), note(id=43, category_id=9)), classes=["dog"]
    )
    assert "class 'cat' (2 objects)" in only_problem(truth)
    assert truth.images["a/1.jpg"].box_labels == ("dog",)


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"images": [{"id": 1, "file_name": "a/1.jpg", "width": 6, "height": 4}] * 2}, "image 1"),
        ({"images": [{"id": 1, "width": 6, "height": 4}]}, "image 1"),
        ({"images": [{"file_name": "a/1.jpg", "width": 6, "height": 4}]}, "image [0]"),
        ({"images": ["a/1.jpg"]}, "image [0]"),
        ({"images": [{"id": 1, "file_name": "a/1.jpg", "width": 10**9, "height": 10**9}]}, "image 1"),
        ({"images": [{"id": 1, "file_name": "a/1.jpg"}]}, "image 1"),
        ({"categories": [{"id": 7, "name": "dog"}, {"id": 7, "name": "cat"}]}, "category 7"),
        ({"categories": [{"id": 7}]}, "category 7"),
        ({"annotations": [None]}, "annotation [0]"),
    ],
)
def test_a_bad_entry_is_reported_by_its_place(tmp_path: Path, more: dict[str, Any], where: str) -> None:
    assert read(tmp_path, document(**more)).problems[0].where == where


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[]", "{}", '{"images": [], "annotations": 1}'])
def test_a_file_that_is_not_cocos_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "instances.json"
    file.write_text(text)
    with pytest.raises(DataError, match=r"instances\.json is (not JSON|JSON, but not COCO's)"):
        read_truth(file)
