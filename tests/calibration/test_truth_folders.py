"""Plain tables of boxes and folders of masks, how a format is recognised, and formats that say the same."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from edgecam_calibration.truth import FORMATS, BadMask, Truth, read_truth, recognise
from edgecam_engines.errors import DataError

HEADER = "image_id,x0,y0,x1,y1\n"


def table(folder: Path, text: str) -> Path:
    file = folder / "boxes.csv"
    file.write_text(text, encoding="utf-8")
    return file


def png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def only_problem(truth: Truth) -> str:
    assert len(truth.problems) == 1, truth.problems
    return str(truth.problems[0])


def test_a_table_gives_several_boxes_an_image_as_stored(tmp_path: Path) -> None:
    truth = read_truth(table(tmp_path, f"{HEADER}a/1.jpg,1,2,3,4\nb.jpg,0,0,9.5,9\na/1.jpg,5,6,7,8\n"))
    assert (truth.format, truth.problems, list(truth.images)) == ("csv", (), ["a/1.jpg", "b.jpg"])
    assert truth.images["a/1.jpg"].boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert truth.images["b.jpg"].boxes.tolist() == [[0, 0, 9.5, 9]]
    assert truth.images["b.jpg"].size is None


def test_columns_may_be_quoted_stand_in_any_order_and_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    text = '\ufefflabel, image_id ,y1,x1,y0,x0,note\ndog,"a, b.jpg",4,3,2,1,x\ncat,"a, b.jpg",8,7,6,5,\n'
    truth = read_truth(table(tmp_path, text))
    image = truth.images["a, b.jpg"]
    assert image.boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert (image.box_labels, image.label, truth.classes) == (("dog", "cat"), None, ("cat", "dog"))


@pytest.mark.parametrize(
    ("line", "reason", "boxes"),
    [
        ("a,1,2,3", "5 fields expected, not 'a,1,2,3'", 1),
        (",1,2,3,4", "5 fields expected", 1),
        ("a,1,2,3,four", "not four numbers", 1),
        ("a,inf,2,3,4", "not four numbers", 1),
        ("a,9,2,3,4", "ends before it begins", 1),
        ("a,1,2,3,4", "the same box stands on line 2", 1),
        ("a,1,2,1,4", "single pixel", 2),
    ],
)
def test_a_bad_row_is_reported_by_its_line(tmp_path: Path, line: str, reason: str, boxes: int) -> None:
    truth = read_truth(table(tmp_path, f"{HEADER}a,1,2,3,4\n\n{line}\n"))
    assert truth.problems[0].where == "line 4"
    assert reason in only_problem(truth)
    assert len(truth.images["a"].boxes) == boxes


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no column image_id, x0, y0, x1, y1"),
        (b"image_id,x0,y0,w,h\n", "no column x1, y1"),
        (HEADER.encode(), "a header, but no box"),
        (b"image_id,x0,y0,x1,y1\n\xff,1,2,3,4\n", r"not text in UTF-8 \(byte 21\)"),
        (b"a" * 200_000, "not CSV"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "boxes.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_truth(file)


def test_a_row_that_is_no_csv_is_reported_and_the_rows_before_it_are_kept(tmp_path: Path) -> None:
    truth = read_truth(table(tmp_path, f"{HEADER}a,1,2,3,4\n{'b' * 200_000},1,2,3,4\n"))
    assert truth.problems[0].where == "line 3"
    assert list(truth.images) == ["a"]


def test_rows_of_other_classes_are_left_out_and_counted(tmp_path: Path) -> None:
    text = "image_id,x0,y0,x1,y1,label\na,1,2,3,4,dog\na,5,6,7,8,cat\na,1,1,2,2,\n"
    truth = read_truth(table(tmp_path, text), classes=["dog"])
    assert "class 'cat' (1 object)" in only_problem(truth)
    assert truth.images["a"].box_labels == ("dog", None)


def test_masks_are_found_by_path_and_any_number_but_zero_is_object(tmp_path: Path) -> None:
    png(tmp_path / "cat" / "1.png", np.array([[0, 1], [128, 255]], np.uint8))
    png(tmp_path / "wide.png", np.array([[0, 1, 70, 256, 65535]], np.uint16))
    png(tmp_path / "colour.png", np.array([[[0, 0, 0], [0, 0, 1], [255, 255, 255]]], np.uint8))
    truth = read_truth(tmp_path)
    assert (truth.format, truth.problems) == ("masks", ())
    assert truth.images["cat/1"].size == (2, 2)
    assert truth.images["cat/1"].mask().tolist() == [[0, 1], [1, 1]]
    assert truth.images["wide"].mask().tolist() == [[0, 1, 1, 1, 1]]
    assert truth.images["colour"].mask().tolist() == [[0, 1, 1]]


def test_255_is_ignored_when_that_is_asked_for(tmp_path: Path) -> None:
    png(tmp_path / "1.png", np.array([[0, 1], [128, 255]], np.uint8))
    assert read_truth(tmp_path, ignore_255=True).images["1"].mask().tolist() == [[0, 1], [1, 255]]


def test_bad_masks_in_a_folder_are_reported(tmp_path: Path) -> None:
    png(tmp_path / "good.png", np.ones((2, 2), np.uint8))
    png(tmp_path / "lossy.jpg", np.ones((2, 2), np.uint8))
    png(tmp_path / "good.PNG", np.ones((2, 2), np.uint8))
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not looked at")
    truth = read_truth(tmp_path)
    assert sorted(bad.path.name for bad in truth.problems) == ["empty.png", "good.png", "lossy.jpg"]
    assert list(truth.images) == ["good"]


def test_a_mask_cut_short_is_refused_by_name_when_it_is_read(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    whole = png(tmp_path / "1.png", noise).read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    image = read_truth(tmp_path).images["1"]
    with pytest.raises(BadMask, match=r"1\.png cannot be used as a mask"):
        image.mask()


def test_masks_can_be_added_to_boxes_of_the_same_images(tmp_path: Path) -> None:
    png(tmp_path / "masks" / "a" / "1.png", np.array([[0, 1], [1, 1]], np.uint8))
    boxes = table(tmp_path, f"{HEADER}a/1.jpg,1,0,1,1\nb/2.jpg,0,0,1,1\n")
    truth = read_truth(boxes, masks=tmp_path / "masks")
    assert truth.images["a/1.jpg"].mask().tolist() == [[0, 1], [1, 1]]
    assert truth.images["a/1.jpg"].size == (2, 2)
    assert len(truth.images["a/1.jpg"].boxes) == 1
    assert truth.images["b/2.jpg"].masks is None


def test_masks_of_images_that_have_no_boxes_are_left_out_and_reported_once(tmp_path: Path) -> None:
    for name in "123":
        png(tmp_path / "masks" / f"{name}.png", np.ones((2, 2), np.uint8))
    truth = read_truth(table(tmp_path, f"{HEADER}1.jpg,0,0,1,1\n"), masks=tmp_path / "masks")
    assert list(truth.images) == ["1.jpg"]
    assert "2.png: the annotations have no image of its name; so with 1 more masks" in only_problem(truth)


def test_an_added_mask_of_another_size_is_reported_by_its_file(tmp_path: Path) -> None:
    mask = png(tmp_path / "masks" / "1.png", np.ones((2, 2), np.uint8))
    texts = {"image_ids": "1.jpg", "image_sizes": "1.jpg,8,6", "class_labels": "1.jpg,0"}
    for name, text in (texts | {"localization": "1.jpg,0,0,5,5"}).items():
        (tmp_path / f"{name}.txt").write_text(text)
    truth = read_truth(tmp_path, masks=tmp_path / "masks")
    assert str(mask) in only_problem(truth)
    assert "2 x 2 pixels, its annotation is for 8 x 6" in only_problem(truth)


def test_every_format_is_recognised_by_what_lies_there(tmp_path: Path) -> None:
    made = {name: tmp_path / name for name in ("wsol", "voc", "masks", "empty", "xml")}
    for folder in made.values():
        folder.mkdir()
    (made["wsol"] / "localization.txt").touch()
    (made["voc"] / "SegmentationClass").mkdir()
    (made["xml"] / "a.xml").touch()
    png(made["masks"] / "cat" / "1.png", np.ones((2, 2), np.uint8))
    (tmp_path / "a.json").touch()
    (tmp_path / "loc.csv").write_text("ImageId,PredictionString\n")
    found = {recognise(made["wsol"]), recognise(tmp_path / "loc.csv"), recognise(tmp_path / "a.json")}
    found |= {recognise(made["voc"]), recognise(made["masks"]), recognise(table(tmp_path, HEADER))}
    assert found == set(FORMATS)
    assert recognise(made["xml"]) == "voc"
    assert recognise(made["voc"] / "SegmentationClass") == "voc"
    for nothing in (made["empty"], made["wsol"] / "localization.txt"):
        with pytest.raises(DataError, match="no format that is known"):
            recognise(nothing)


def test_a_path_or_a_format_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    boxes = table(tmp_path, f"{HEADER}1.jpg,0,0,1,1\n")
    for path, masks in [(tmp_path / "nowhere", None), (boxes, tmp_path / "nowhere")]:
        with pytest.raises(DataError, match="nowhere does not exist"):
            read_truth(path, masks=masks)
    with pytest.raises(DataError, match=r"no format 'yolo'.\nChoose one of: wsol, "):
        read_truth(tmp_path, "yolo")


BOXES = st.lists(
    st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 9)] * 2).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    min_size=1,
    max_size=4,
    unique=True,
)


@settings(deadline=None, max_examples=25)
@given(BOXES)
def test_the_same_boxes_in_five_formats_are_the_same_truth(
    tmp_path_factory: pytest.TempPathFactory, boxes: list[tuple[int, int, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("same")
    read = [truth.images[image_id] for truth, image_id in in_every_format(folder, boxes)]
    assert all(image.boxes.tolist() == [list(map(float, box)) for box in boxes] for image in read)
    assert all(image.size == (40, 40) for image in read[:3])
    assert {image.label for image in read[1:]} == {"dog"}


def in_every_format(folder: Path, boxes: list[tuple[int, int, int, int]]) -> list[tuple[Truth, str]]:
    """The boxes, 0-based and inclusive, of one image of 40 x 40 pixels written in each format and read."""
    notes = [
        {"id": k, "image_id": 1, "category_id": 1, "bbox": [x0, y0, x1 - x0 + 1, y1 - y0 + 1]}
        for k, (x0, y0, x1, y1) in enumerate(boxes)
    ]
    images = [{"id": 1, "file_name": "1.jpg", "width": 40, "height": 40}]
    coco = {"images": images, "annotations": notes, "categories": [{"id": 1, "name": "dog"}]}
    (folder / "a.json").write_text(json.dumps(coco))
    things = "".join(
        f"<object><name>dog</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1 + 1}</xmax>"
        f"<ymax>{y1 + 1}</ymax></bndbox></object>"
        for x0, y0, x1, y1 in boxes
    )
    size = "<size><width>40</width><height>40</height></size>"
    (folder / "1.xml").write_text(f"<annotation>{size}{things}</annotation>")
    rows = [",".join(map(str, box)) for box in boxes]
    (folder / "boxes.csv").write_text(
        "image_id,x0,y0,x1,y1,label\n" + "".join(f"1.jpg,{r},dog\n" for r in rows)
    )
    words = " ".join("dog " + row.replace(",", " ") for row in rows)
    (folder / "loc.csv").write_text(f"ImageId,PredictionString\n1,{words}\n")
    (folder / "wsol").mkdir()
    texts = {"image_ids": "1.jpg", "image_sizes": "1.jpg,40,40", "class_labels": "1.jpg,0"}
    for name, text in (texts | {"localization": "\n".join(f"1.jpg,{row}" for row in rows)}).items():
        (folder / "wsol" / f"{name}.txt").write_text(text)
    named = {"wsol": "1.jpg", "a.json": "1.jpg", "1.xml": "1", "boxes.csv": "1.jpg", "loc.csv": "1"}
    return [(read_truth(folder / name), image_id) for name, image_id in named.items()]
