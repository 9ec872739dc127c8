"""Reading cut-outs and backgrounds, finding copies, dealing to the parts; what is refused is named."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from edgecam_engines.errors import DataError
from edgecam_engines.photo import BadPhoto
from edgecam_training.composite import gather as gathering
from edgecam_training.composite import kin
from edgecam_training.composite.cutouts import SOLID, read_cutout
from edgecam_training.composite.gather import Material, gather
from edgecam_training.composite.splits import deal
from edgecam_training.composite.terms import generator, thumbnail
from training.composite_kit import COLOURS, SIZE, cutout, disc, grey, make_backgrounds, make_cutouts, save

RED = COLOURS["red"]


def read(
    cutouts: Path, backgrounds: Path, classes: int | None = None, cache: Path = Path("nowhere")
) -> Material:
    return gather(cutouts, backgrounds, classes=classes, size=SIZE, cache=cache)


@pytest.fixture
def things(tmp_path: Path) -> Path:
    return make_cutouts(tmp_path / "things")


@pytest.fixture
def grounds(tmp_path: Path) -> Path:
    return make_backgrounds(tmp_path / "grounds")


# -- one cut-out


def test_a_cut_out_is_cropped_to_what_there_is_and_reduced(tmp_path: Path) -> None:
    bgra = np.zeros((300, 400, 4), np.uint8)
    bgra[50:150, 100:300] = (10, 20, 30, 255)
    found = cutout(tmp_path / "x.png", bgra, longest=80)
    assert found.bgra.shape == (40, 80, 4)
    np.testing.assert_array_equal(found.bgra[20, 40], (10, 20, 30, 255))
    np.testing.assert_allclose(np.ptp(found.hull, axis=0), (79, 39), atol=1)


def test_colours_are_multiplied_by_alpha(tmp_path: Path) -> None:
    bgra = np.zeros((60, 60, 4), np.uint8)
    bgra[5:55, 5:55] = (200, 100, 40, 128)
    np.testing.assert_array_equal(cutout(tmp_path / "x.png", bgra).bgra[20, 20], (100, 50, 20, 128))


def test_dirt_in_the_air_stretches_no_box_but_parts_stay(tmp_path: Path) -> None:
    bgra = np.zeros((100, 200, 4), np.uint8)
    bgra[10:90, 10:90] = 255
    bgra[40:60, 95:120] = 255  # a part of its own: a cherry's twin
    bgra[2:4, 190:193] = 255  # dirt
    assert cutout(tmp_path / "x.png", bgra).bgra.shape == (80, 110, 4)


def test_a_palette_with_transparency_has_an_alpha(tmp_path: Path) -> None:
    image = Image.new("P", (60, 60), 0)
    image.putpalette([0, 0, 0, 250, 10, 10])
    image.paste(1, (5, 5, 55, 55))
    image.save(tmp_path / "p.png", transparency=0)
    found = read_cutout(tmp_path / "p.png", "p", 224)
    assert found.bgra.shape[:2] == (50, 50)
    np.testing.assert_array_equal(found.bgra[25, 25], (10, 10, 250, 255))


def opaque() -> NDArray[np.uint8]:
    return np.full((60, 60, 4), 255, np.uint8)


def veil() -> NDArray[np.uint8]:
    picture = np.zeros((60, 60, 4), np.uint8)
    picture[5:55, 5:55] = SOLID - 1
    return picture


BAD = {
    "flat.png": (lambda: grey(0), "no transparency"),
    "photo.jpg": (lambda: grey(0), "no transparency"),
    "uncut.png": (opaque, "opaque everywhere"),
    "clear.png": (lambda: np.zeros((60, 60, 4), np.uint8), "nothing in it is opaque"),
    "veil.png": (veil, "nothing in it is opaque"),
    "tiny.png": (lambda: disc(RED, 0, 40), "pixels; 40 are needed"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_picture_that_is_no_cut_out_says_why(tmp_path: Path, name: str) -> None:
    picture, reason = BAD[name]
    path = save(tmp_path / name, picture())
    with pytest.raises(BadPhoto, match=reason):
        read_cutout(path, name, 224)


def test_damaged_files_say_so(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.png", disc(RED, 0)).read_bytes()
    for name, content in {
        "empty": b"",
        "words": b"no picture at all",
        "half": whole[: len(whole) // 2],
    }.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(content)
        with pytest.raises(BadPhoto, match=str(path)):
            read_cutout(path, name, 224)


# -- copies


def alike(*pictures: NDArray[np.uint8]) -> list[list[int]]:
    names = [str(k) for k in range(len(pictures))]
    return kin.groups(names, [thumbnail(picture) for picture in pictures])


def test_copies_are_found_mirrored_recompressed_and_of_another_size() -> None:
    rng = np.random.default_rng(0)
    rough = cv2.resize(
        rng.integers(0, 255, (6, 8, 3)).astype(np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC
    )
    jpeg = cv2.imdecode(cv2.imencode(".jpg", rough, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
    assert jpeg is not None
    small = cv2.resize(rough, (80, 60), interpolation=cv2.INTER_AREA)
    other = np.rot90(rough)
    pictures = [np.ascontiguousarray(p, np.uint8) for p in (rough, other, rough[:, ::-1], jpeg, small)]
    assert alike(*pictures) == [[0, 2, 3, 4], [1]]


def test_different_things_are_no_copies() -> None:
    assert alike(*(disc(RED, k) for k in range(4))) == [[0], [1], [2], [3]]


def test_declared_families_and_copies_join_into_one_group() -> None:
    pictures = [disc(RED, k) for k in (0, 1, 0, 2, 3)]
    groups = kin.groups("abcde", [thumbnail(p) for p in pictures], [("b", "c"), ("e", "not here")])
    assert groups == [[0, 1, 2], [3], [4]]


# -- dealing


@given(st.lists(st.integers(1, 5), min_size=3, max_size=40), st.integers(0, 9))
def test_parts_share_nothing_miss_nothing_and_split_no_group(sizes: list[int], seed: int) -> None:
    ends = np.cumsum(sizes).tolist()
    groups = [list(range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]
    parts = deal(groups, generator(seed))
    assert sorted(k for part in parts for k in part) == list(range(sum(sizes)))
    assert all(parts)
    for group in groups:
        assert sum(set(group) <= set(part) for part in parts) == 1


@pytest.mark.parametrize(
    ("count", "expected"), [(3, (1, 1, 1)), (6, (3, 1, 2)), (20, (12, 3, 5)), (100, (60, 15, 25))]
)
def test_what_is_learned_from_gets_the_largest_share(count: int, expected: tuple[int, int, int]) -> None:
    parts = deal([[k] for k in range(count)], generator(0))
    assert tuple(map(len, parts)) == expected


def test_two_groups_are_too_few_for_three_parts() -> None:
    with pytest.raises(ValueError, match="2 groups"):
        deal([[0], [1, 2]], generator(0))


# -- the whole


def test_classes_are_alphabetical_and_hold_their_own(things: Path, grounds: Path) -> None:
    found = read(things, grounds)
    assert list(found.classes) == ["blue", "green", "red"]
    for name, groups in found.classes.items():
        assert [one.name for group in groups for one in group] == [f"{name}/{k}.png" for k in range(4)]
    assert [ground.name for group in found.backgrounds for ground in group] == [
        f"own/{k}.png" for k in range(4)
    ]
    assert found.neutral == []


def test_fewer_classes_are_those_with_most_cut_outs(things: Path, grounds: Path) -> None:
    save(things / "red" / "extra.png", disc((90, 30, 200), 5))
    assert list(read(things, grounds, classes=2).classes) == ["blue", "red"]


def test_more_classes_than_there_are_is_refused_and_says_how_many_there_are(
    things: Path, grounds: Path
) -> None:
    with pytest.raises(DataError, match=r"--classes 4 is more than the 3 .*: blue, green, red"):
        read(things, grounds, classes=4)


def test_eleven_classes_of_stamps_are_refused_before_anything_is_fetched(
    grounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "fetch", lambda *_: pytest.fail("it fetched"))
    with pytest.raises(DataError, match="--classes 11 is more than the 10"):
        gather(None, grounds, classes=11, size=SIZE, cache=tmp_path)


def test_every_bad_cut_out_is_named_at_once(things: Path, grounds: Path) -> None:
    save(things / "red" / "flat.png", grey(0))
    (things / "blue" / "words.png").write_text("no picture")
    with pytest.raises(DataError) as caught:
        read(things, grounds)
    said = str(caught.value)
    assert "2 of the cut-outs cannot be used" in said
    assert f"{things / 'red' / 'flat.png'}: it has no transparency" in said
    assert f"{things / 'blue' / 'words.png'}: it is not an image" in said


def test_a_background_smaller_than_the_pictures_is_named(things: Path, grounds: Path) -> None:
    save(grounds / "small.png", grey(9, (90, 200)))
    with pytest.raises(DataError, match=r"small\.png: 200 x 90 pixels are too few for pictures of 96 x 96"):
        read(things, grounds)


def test_too_few_for_three_parts_is_refused_and_copies_count_once(things: Path, grounds: Path) -> None:
    for k in (2, 3):
        (things / "red" / f"{k}.png").unlink()
    save(things / "red" / "mirrored.png", disc(RED, 0)[:, ::-1])
    with pytest.raises(DataError, match=r"class red \(3 cut-outs, 2 of them different\)"):
        read(things, grounds)


def test_too_few_backgrounds_are_refused(things: Path, tmp_path: Path) -> None:
    few = make_backgrounds(tmp_path / "few", 2)
    with pytest.raises(DataError, match=r"backgrounds \(2 photos, 2 of them different\)"):
        read(things, few)


def test_one_picture_under_two_classes_is_refused(things: Path, grounds: Path) -> None:
    save(things / "blue" / "stray.png", disc(RED, 1))
    with pytest.raises(DataError, match="The same picture stands under blue and red: "):
        read(things, grounds)


def test_folders_that_are_not_there_or_hold_no_classes_are_refused(
    things: Path, grounds: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"--cutouts .* is not a folder"):
        read(tmp_path / "none", grounds)
    with pytest.raises(DataError, match=r"--backgrounds .* is not a folder"):
        read(things, tmp_path / "none")
    with pytest.raises(DataError, match="holds 0 class folder"):
        read(things / "red", grounds)


@pytest.mark.parametrize("name", ["salt, pepper", 'the "thing"', "test", "masks"])
def test_class_names_that_would_break_tables_or_folders_are_refused(
    things: Path, grounds: Path, name: str
) -> None:
    (things / "red").rename(things / name)
    with pytest.raises(DataError, match="a class"):
        read(things, grounds)


def test_hidden_files_and_notes_are_passed_over(things: Path, grounds: Path) -> None:
    (things / "red" / "notes.txt").write_text("mine")
    (things / "red" / ".hidden.png").write_text("no picture")
    (things / ".thumbnails").mkdir()
    (grounds / "notes.txt").write_text("mine")
    assert sum(map(len, read(things, grounds).classes["red"])) == 4
