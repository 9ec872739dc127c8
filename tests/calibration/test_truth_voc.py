"""Pascal VOC's XML and masks, and ImageNet's two forms: exact boxes, and every bad file named."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgecam_calibration.truth import Truth, read_truth
from edgecam_engines.errors import DataError

SIZE = "<size><width>500</width><height>375</height><depth>3</depth></size>"


def thing(name: str, *box: float) -> str:
    edges = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    inner = "".join(f"<{edge}>{value}</{edge}>" for edge, value in edges)
    return f"<object><name>{name}</name><bndbox>{inner}</bndbox></object>"


def xml(path: Path, *things: str, size: str = SIZE, database: str = "The VOC2007 Database") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    source = f"<source><database>{database}</database></source>"
    path.write_text(f"<annotation>{source}{size}{''.join(things)}</annotation>")
    return path


def palette(path: Path, numbers: NDArray[np.uint8]) -> Path:
    """A PNG of class numbers with VOC's first colours, so that its colours are not its numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(numbers).convert("P")
    image.putdata(numbers.ravel().tolist())
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [224, 224, 192] * 253)
    image.save(path)
    return path


def only_problem(truth: Truth) -> str:
    assert len(truth.problems) == 1, truth.problems
    return str(truth.problems[0])


def test_corners_counted_from_one_are_brought_to_zero(tmp_path: Path) -> None:
    xml(tmp_path / "2007_000027.xml", thing("person", 1, 1, 500, 375), thing("dog", 174, 101, 349, 351))
    truth = read_truth(tmp_path)
    image = truth.images["2007_000027"]
    assert (truth.format, truth.classes, truth.problems) == ("voc", ("dog", "person"), ())
    assert image.boxes.tolist() == [[0, 0, 499, 374], [173, 100, 348, 350]]
    assert image.box_labels == ("person", "dog")
    assert (image.size, image.label) == ((500, 375), None)


def test_the_boxes_of_one_class_can_be_asked_for(tmp_path: Path) -> None:
    xml(tmp_path / "a.xml", thing("person", 1, 1, 9, 9), thing("dog", 11, 11, 20, 20))
    dogs = read_truth(tmp_path).images["a"].of_class("dog")
    assert (dogs.boxes.tolist(), dogs.box_labels) == ([[10, 10, 19, 19]], ("dog",))


def test_parts_of_a_person_are_no_objects(tmp_path: Path) -> None:
    head = thing("head", 3, 3, 5, 5).replace("object>", "part>")
    xml(tmp_path / "a.xml", thing("person", 1, 1, 9, 9).replace("</object>", f"{head}</object>"))
    assert read_truth(tmp_path).images["a"].boxes.tolist() == [[0, 0, 8, 8]]


def test_one_file_may_be_given_and_a_label_that_all_share_is_the_images(tmp_path: Path) -> None:
    file = xml(tmp_path / "a.xml", thing("dog", 1, 1, 9, 9), thing("dog", 2, 2, 9, 9))
    truth = read_truth(file)
    assert truth.images["a"].label == "dog"


def test_nested_files_are_named_by_their_path(tmp_path: Path) -> None:
    xml(tmp_path / "n01440764" / "n01440764_18.xml", thing("n01440764", 1, 1, 9, 9))
    assert list(read_truth(tmp_path).images) == ["n01440764/n01440764_18"]


@pytest.mark.parametrize(
    ("body", "where", "reason", "boxes"),
    [
        (thing("dog", 501, 1, 600, 9), "object 1", "outside the image of 500 x 375", 0),
        (thing("dog", 400, 1, 501, 9), "object 1", "partly outside", 1),
        (thing("dog", 0, 0, 9, 9), "object 1", "box -1,-1,8,8 is partly outside", 1),
        (thing("dog", 9, 1, 3, 9), "object 1", "ends before it begins", 0),
        (thing("dog", 1, 1, 9, 9) * 2, "object 2", "given twice", 1),
        (thing("", 1, 1, 9, 9), "object 1", "no name", 1),
        ("<object><name>dog</name></object>", "object 1", "not four numbers", 0),
        (thing("zebra", 1, 1, 9, 9), "", "unknown class 'zebra' (1 object): none of those asked for", 0),
        (thing("zebra", 1, 1, 9, 9) + thing("zebra", 1, 1, 8, 8), "", "class 'zebra' (2 objects)", 0),
    ],
)
def test_a_bad_object_is_reported_with_its_file(
    tmp_path: Path, body: str, where: str, reason: str, boxes: int
) -> None:
    file = xml(tmp_path / "bad.xml", body)
    truth = read_truth(tmp_path, classes=("dog",))
    place = f"{file}, {where}: " if where else f"{file}: "
    assert only_problem(truth).startswith(place)
    assert reason in only_problem(truth)
    assert len(truth.images["bad"].boxes) == boxes


def test_a_file_without_a_size_is_used_and_reported(tmp_path: Path) -> None:
    xml(tmp_path / "a.xml", thing("dog", 1, 1, 9, 9), size="<size><width>0</width></size>")
    truth = read_truth(tmp_path)
    assert truth.images["a"].size is None
    assert len(truth.images["a"].boxes) == 1
    assert "does not say the image's width and height" in only_problem(truth)


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]><annotation>&c;</annotation>'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<annotation><object>", "not well-formed XML"),
        (b"", "not well-formed XML"),
        (b"\xff\xfe\x00\x01", "not well-formed XML"),
        (b'<?xml version="1.0" encoding="klingon"?><annotation/>', "klingon|encoding"),
        (BOMB.encode(), "DOCTYPE"),
        (f'<?xml version="1.0" encoding="utf-16"?>{BOMB}'.encode("utf-16"), "DOCTYPE"),
    ],
)
def test_a_file_that_is_no_sound_xml_is_reported_and_the_others_are_read(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    xml(tmp_path / "good.xml", thing("dog", 1, 1, 9, 9))
    (tmp_path / "bad.xml").write_bytes(content)
    truth = read_truth(tmp_path)
    assert list(truth.images) == ["good"]
    assert str(tmp_path / "bad.xml") in only_problem(truth)
    assert any(word in only_problem(truth) for word in reason.split("|"))


def test_a_folder_without_annotations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no XML file"):
        read_truth(tmp_path, "voc")
    (tmp_path / "SegmentationClass").mkdir()
    with pytest.raises(DataError, match="holds no PNG"):
        read_truth(tmp_path)


def voc_tree(root: Path) -> Path:
    """One image of 4 x 2 pixels: an aeroplane above, a bicycle below, void between, and boxes of both."""
    size = "<size><width>4</width><height>2</height></size>"
    things = thing("aeroplane", 1, 1, 3, 2), thing("bicycle", 1, 1, 2, 2)
    xml(root / "Annotations" / "a.xml", *things, size=size)
    palette(root / "SegmentationClass" / "a.png", np.array([[1, 1, 255, 0], [2, 255, 0, 0]], np.uint8))
    palette(root / "SegmentationObject" / "a.png", np.array([[1, 2, 255, 0], [3, 255, 0, 0]], np.uint8))
    return root


def test_class_masks_give_objects_void_and_class_numbers(tmp_path: Path) -> None:
    truth = read_truth(voc_tree(tmp_path))
    image = truth.images["a"]
    assert image.mask().tolist() == [[1, 1, 255, 0], [1, 255, 0, 0]]
    assert image.masks is not None
    both = image.masks.class_map((2, 4), ["bicycle", "aeroplane"])
    assert both.tolist() == [[2, 2, 255, 0], [1, 255, 0, 0]]
    assert image.masks.class_map((2, 4), ["aeroplane"]).tolist() == [[1, 1, 255, 0], [255, 255, 0, 0]]
    assert image.boxes.tolist() == [[0, 0, 2, 1], [0, 0, 1, 1]]


def test_a_class_mask_of_one_class_has_the_others_as_background(tmp_path: Path) -> None:
    image = read_truth(voc_tree(tmp_path)).images["a"]
    assert image.of_class("bicycle").mask().tolist() == [[0, 0, 255, 0], [1, 255, 0, 0]]
    assert image.of_class("sofa").mask().tolist() == [[0, 0, 255, 0], [0, 255, 0, 0]]
    only = image.of_class("bicycle").masks
    assert only is not None
    assert only.class_map((2, 4), ["bicycle"]).tolist() == [[0, 0, 255, 0], [1, 255, 0, 0]]


def test_object_masks_alone_give_objects_without_a_class(tmp_path: Path) -> None:
    image = read_truth(voc_tree(tmp_path) / "SegmentationObject").images["a"]
    assert image.mask().tolist() == [[1, 1, 255, 0], [1, 255, 0, 0]]
    assert image.of_class("sofa").mask().tolist() == image.mask().tolist()
    assert image.masks is not None
    assert image.masks.class_map((2, 4), ["sofa"]).tolist() == [[255, 255, 255, 0], [255, 255, 0, 0]]


def test_a_mask_is_enlarged_by_repeating_its_pixels(tmp_path: Path) -> None:
    image = read_truth(voc_tree(tmp_path)).images["a"]
    assert np.array_equal(image.mask((4, 8)), np.kron(image.mask(), np.ones((2, 2), np.uint8)))


def test_masks_of_colours_of_another_size_or_of_unknown_classes_are_reported(tmp_path: Path) -> None:
    root = voc_tree(tmp_path)
    xml(root / "Annotations" / "b.xml", size="<size><width>9</width><height>9</height></size>")
    masks = root / "SegmentationClass"
    palette(masks / "b.png", np.zeros((2, 4), np.uint8))
    palette(masks / "c.png", np.array([[77, 1], [0, 0]], np.uint8))
    Image.fromarray(np.zeros((2, 4, 3), np.uint8)).save(masks / "d.png")
    (masks / "e.png").write_bytes((masks / "a.png").read_bytes()[:60])
    truth = read_truth(root)
    found = {bad.path.name: bad for bad in truth.problems}
    assert sorted(found) == ["b.png", "c.png", "d.png", "e.png"]
    assert "4 x 2 pixels, its image 9 x 9" in found["b.png"].reason
    assert found["b.png"].kept
    assert "unknown class 77: there are 20" in found["c.png"].reason
    assert "RGB" in found["d.png"].reason
    assert truth.images["c"].mask().tolist() == [[255, 1], [0, 0]]
    assert not {"d", "e"} & set(truth.images)


def test_imagenets_xml_counts_from_zero_and_says_so_itself(tmp_path: Path) -> None:
    snake = thing("n01751748", 111, 108, 441, 193)
    xml(tmp_path / "ILSVRC2012_val_00000001.xml", snake, database="ILSVRC_2012")
    for name in (None, "ilsvrc"):
        image = read_truth(tmp_path, name).images["ILSVRC2012_val_00000001"]
        assert image.boxes.tolist() == [[111, 108, 441, 193]]
        assert image.label == "n01751748"


SOLUTION = (
    "ImageId,PredictionString\nval_1,n01 111 108 441 193 \nval_2,n02 45 49 499 162 n02 2 69 437 207\nval_3,\n"
)


def test_a_solution_file_gives_every_images_boxes_as_stored(tmp_path: Path) -> None:
    file = tmp_path / "LOC_val_solution.csv"
    file.write_text(SOLUTION)
    truth = read_truth(file)
    assert (truth.format, truth.problems, list(truth.images)) == ("ilsvrc", (), ["val_1", "val_2", "val_3"])
    assert truth.images["val_1"].boxes.tolist() == [[111, 108, 441, 193]]
    assert truth.images["val_2"].boxes.tolist() == [[45, 49, 499, 162], [2, 69, 437, 207]]
    assert truth.images["val_2"].label == "n02"
    assert truth.images["val_3"].boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("line", "where", "reason"),
    [
        ("val_9,n01 1 2 3", "line 5", "4 words are no whole number of class,x0,y0,x1,y1"),
        ("val_9,n01 1 2 three 4", "line 5", "not four numbers"),
        ("val_9,n01 9 2 3 4", "line 5", "ends before it begins"),
        ("val_9,n01 1 2 3 4 n01 1 2 3 4", "line 5", "given twice"),
        ("val_9", "line 5", "2 fields expected"),
        ("val_1,n01 1 2 3 4", "line 5", "val_1 stands on line 2"),
        ("val_9,n77 1 2 3 4", "", "class 'n77' (1 object)"),
    ],
)
def test_a_bad_line_of_a_solution_file_is_reported(
    tmp_path: Path, line: str, where: str, reason: str
) -> None:
    file = tmp_path / "LOC_val_solution.csv"
    file.write_text(f"{SOLUTION}{line}\n")
    (tmp_path / "LOC_synset_mapping.txt").write_text("n01 tench, Tinca tinca\nn02 goldfish\n")
    truth = read_truth(file)
    assert truth.classes == ("n01", "n02")
    assert truth.problems[0].where == where
    assert reason in only_problem(truth)
