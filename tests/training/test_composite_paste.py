"""Laying cut-outs into a frame: the mask is what is seen of the object, and the box is around the mask."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecam_engines.errors import DataError
from edgecam_training.composite import picture
from edgecam_training.composite.backgrounds import Background, crop
from edgecam_training.composite.cutouts import Cutout
from edgecam_training.composite.light import feathered, lit, softened, whole
from edgecam_training.composite.paste import Box, box_of, over, paste, visible
from edgecam_training.composite.picture import Cast, draw
from edgecam_training.composite.place import LEAST, MOST, Layer, Pose, lay, object_pose
from edgecam_training.composite.terms import generator
from training.composite_kit import COLOURS, SIZE, colourful, cutout, disc, grey

RED = COLOURS["red"]


def block(top: int, bottom: int, left: int, right: int, alpha: float = 1.0, side: int = 40) -> Layer:
    """A grey block, half-open corners."""
    covered = np.zeros((side, side), np.float32)
    covered[top:bottom, left:right] = alpha
    return Layer(np.repeat(100 * covered[:, :, None], 3, axis=2), covered)


def rectangle(tmp_path: Path, w: int, h: int, margin: int = 5) -> Cutout:
    """A solid rectangle, its left half red and its right half green."""
    bgra = np.zeros((h + 2 * margin, w + 2 * margin, 4), np.uint8)
    bgra[margin:-margin, margin : margin + w // 2] = (0, 0, 255, 255)
    bgra[margin:-margin, margin + w // 2 : -margin] = (0, 255, 0, 255)
    return cutout(tmp_path / "rectangle.png", bgra)


def backgrounds(count: int = 3) -> list[Background]:
    return [Background(f"grey-{k}", grey(k)) for k in range(count)]


# -- layers


def test_opaque_pixels_are_the_layers_own_and_clear_ones_are_what_was_there() -> None:
    rng = np.random.default_rng(0)
    under = rng.uniform(0, 255, (40, 40, 3)).astype(np.float32)
    layer = block(10, 20, 5, 30)
    result = over(layer, under)
    covered = layer.alpha == 1
    np.testing.assert_array_equal(result[covered], layer.colour[covered])
    np.testing.assert_array_equal(result[~covered], under[~covered])


def test_what_is_in_front_hides_what_is_behind() -> None:
    under = np.zeros((40, 40, 3), np.float32)
    behind, thing, front = block(0, 40, 0, 40, 0.5), block(10, 30, 10, 30), block(20, 40, 20, 40)
    result = paste(under, [behind], thing, [front])[:, :, 0]
    assert (result[5, 5], result[15, 15], result[35, 35]) == (50, 100, 100)
    np.testing.assert_array_equal(paste(under, [], thing, []), over(thing, under))


def test_the_mask_is_the_object_less_what_hides_it() -> None:
    thing, front = block(10, 20, 20, 40), block(0, 40, 20, 30)
    mask = visible(thing, [front])
    expected = np.zeros((40, 40), bool)
    expected[10:20, 30:40] = True
    np.testing.assert_array_equal(mask, expected)
    assert box_of(mask) == (30, 10, 39, 19)


@pytest.mark.parametrize(("alpha", "seen"), [(0.5, True), (0.51, False), (0.0, True), (1.0, False)])
def test_a_pixel_is_the_objects_while_half_of_it_is(alpha: float, seen: bool) -> None:
    assert visible(block(0, 40, 0, 40), [block(0, 40, 0, 40, alpha)]).all() == seen


def test_a_box_counts_both_corners_as_inside() -> None:
    mask = np.zeros((9, 9), bool)
    assert box_of(mask) is None
    mask[4, 7] = True
    assert box_of(mask) == (7, 4, 7, 4)
    mask[:] = True
    assert box_of(mask) == (0, 0, 8, 8)


@given(st.sets(st.tuples(st.integers(0, 11), st.integers(0, 8)), min_size=1))
def test_a_box_is_the_smallest_that_holds_every_pixel(pixels: set[tuple[int, int]]) -> None:
    mask = np.zeros((9, 12), bool)
    for x, y in pixels:
        mask[y, x] = True
    xs, ys = zip(*pixels, strict=True)
    assert box_of(mask) == (min(xs), min(ys), max(xs), max(ys))


# -- poses


def solid_box(layer: Layer) -> Box | None:
    return box_of(layer.alpha >= 0.5)


@pytest.mark.parametrize(
    ("turn", "mirrored", "expected"),
    [
        (0.0, False, (5, 7, 44, 26)),
        (0.0, True, (5, 7, 44, 26)),
        (90.0, False, (5, 7, 24, 46)),
        (180.0, False, (5, 7, 44, 26)),
        (-90.0, True, (5, 7, 24, 46)),
    ],
)
def test_a_rectangle_lands_on_the_very_pixels(
    tmp_path: Path, turn: float, mirrored: bool, expected: Box
) -> None:
    """Its hull runs through pixel centres, so a left of 5.5 is column 5."""
    pose = Pose(np.deg2rad(turn), mirrored, 1.0, 5.5, 7.5)
    layer = lay(rectangle(tmp_path, 40, 20), pose, 64)
    assert solid_box(layer) == expected
    x0, y0, x1, y1 = expected
    assert (layer.alpha[y0 : y1 + 1, x0 : x1 + 1] > 0.99).all()
    assert layer.alpha.sum() == pytest.approx(800, abs=1)


def test_mirroring_swaps_left_and_right(tmp_path: Path) -> None:
    thing = rectangle(tmp_path, 40, 20)
    plain, mirrored = (lay(thing, Pose(0.0, flip, 1.0, 5.5, 7.5), 64) for flip in (False, True))
    np.testing.assert_array_equal(plain.colour[7:27, 5:45], mirrored.colour[7:27, 5:45][:, ::-1])
    assert plain.colour[15, 10, 2] == 255  # red, on the left


def test_a_box_is_taken_after_turning(tmp_path: Path) -> None:
    """A square turned by 45 degrees is wider by the root of two, which its unturned box is not."""
    layer = lay(rectangle(tmp_path, 60, 60), Pose(np.pi / 4, False, 1.0, 10, 10), 112)
    box = solid_box(layer)
    assert box is not None
    assert box[2] - box[0] + 1 == pytest.approx(60 * 2**0.5, abs=2)


@pytest.mark.parametrize("hw", [(80, 80), (160, 12), (12, 160), (41, 41), (300, 200)])
def test_objects_lie_wholly_inside_and_fill_what_is_promised(tmp_path: Path, hw: tuple[int, int]) -> None:
    thing = rectangle(tmp_path, hw[1], hw[0])
    middles = []
    for k in range(40):
        pose = object_pose(thing, 224, generator("pose", k))
        layer = lay(thing, pose, 224)
        box = solid_box(layer)
        assert box is not None
        share = (box[2] - box[0] + 1) * (box[3] - box[1] + 1) / 224**2
        assert LEAST * 0.95 <= share <= MOST * 1.05
        # All of it is there: nothing was cut off by the frame.
        h, w = thing.bgra.shape[:2]
        area = (thing.bgra[:, :, 3] / 255).sum() * round(w * pose.scale) / w * round(h * pose.scale) / h
        assert layer.alpha.sum() == pytest.approx(area, rel=0.05)
        middles.append((box[0] + box[2], box[1] + box[3]))
    assert np.ptp(middles, axis=0).min() > 100  # in half pixels


def test_few_pixels_are_not_magnified_beyond_what_looks_right(tmp_path: Path) -> None:
    thing = rectangle(tmp_path, 41, 41)
    assert all(object_pose(thing, 224, generator(k)).scale <= 3 for k in range(50))


# -- light


def some_layer(tmp_path: Path, seed: int) -> Layer:
    thing = cutout(tmp_path / "disc.png", disc(RED, seed))
    return lay(thing, object_pose(thing, SIZE, generator(seed)), SIZE)


@pytest.mark.parametrize("change", [lit, softened, feathered])
@pytest.mark.parametrize("seed", range(5))
def test_no_change_makes_a_colour_brighter_than_its_alpha_allows(
    tmp_path: Path,
    change: Callable[[Layer, np.random.Generator], Layer],
    seed: int,
) -> None:
    before = some_layer(tmp_path, seed)
    after = change(before, generator("light", seed))
    assert (after.colour >= 0).all()
    assert (after.colour <= 255 * after.alpha[:, :, None] + 0.01).all()
    assert after.colour.dtype == after.alpha.dtype == np.float32


def test_light_moves_no_edge_and_feathering_only_inwards(tmp_path: Path) -> None:
    layer = some_layer(tmp_path, 1)
    np.testing.assert_array_equal(lit(layer, generator(1)).alpha, layer.alpha)
    soft = feathered(layer, generator(1)).alpha
    assert (soft <= layer.alpha).all()
    assert (soft < layer.alpha).any()
    inside = cv2.erode(layer.alpha, np.ones((11, 11))) == 1
    np.testing.assert_array_equal(soft[inside], 1)


def test_nothing_of_a_cut_outs_hidden_colours_shows_at_its_edge(tmp_path: Path) -> None:
    """The disc is red on white whose alpha is 0: no edge pixel may turn pale."""
    layer = some_layer(tmp_path, 2)
    edge = (layer.alpha > 0) & (layer.alpha < 1)
    pale = layer.colour[edge][:, :2] / layer.alpha[edge][:, None]
    assert edge.sum() > 50
    assert np.quantile(pale, 0.99) < 70  # the disc's own blue and green are 30, white's 255


# -- pictures


@pytest.fixture
def thing(tmp_path: Path) -> Cutout:
    return cutout(tmp_path / "disc.png", disc(RED, 0))


def grown(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    kernel = np.ones((2 * abs(by) + 1,) * 2, np.uint8)
    change = cv2.dilate if by > 0 else cv2.erode
    return np.asarray(change(mask.astype(np.uint8), kernel) > 0)


@pytest.mark.parametrize("seed", range(24))
def test_the_mask_is_where_the_eye_sees_the_object(thing: Cutout, seed: int) -> None:
    """The object is red, all else is grey, in front of it too: the picture itself says where it is."""
    made = draw(thing, Cast(backgrounds(), []), SIZE, generator("eye", seed))
    seen = colourful(made.frame)
    assert seen[grown(made.mask, -2)].mean() > 0.97
    assert seen[~grown(made.mask, 2)].mean() < 0.002
    assert made.box == box_of(made.mask)
    share = (made.box[2] - made.box[0] + 1) * (made.box[3] - made.box[1] + 1) / SIZE**2
    assert 0.10 <= share <= 0.60


def test_some_objects_are_partly_hidden_and_some_are_not(thing: Cutout) -> None:
    cast = Cast(backgrounds(), [])
    whole_ones = 0
    for k in range(40):
        mask = draw(thing, cast, SIZE, generator("hidden", k)).mask.astype(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        hull = cv2.convexHull(np.vstack(outlines))
        filled = cv2.fillConvexPoly(np.zeros_like(mask), hull, 1)
        whole_ones += bool(mask.sum() > 0.97 * filled.sum())
    assert 10 <= whole_ones <= 32


def test_what_is_in_front_leaves_most_of_the_object(thing: Cutout) -> None:
    cast, layer = Cast(backgrounds(), []), lay(thing, object_pose(thing, SIZE, generator(3)), SIZE)
    before = visible(layer, []).sum()
    shares = []
    for k in range(30):
        front = picture._hiding(layer, cast, cast.backgrounds[0], SIZE, generator("front", k))
        shares += [1 - visible(layer, front).sum() / before] if front else []
    assert len(shares) > 20
    assert min(shares) >= 0.02
    assert max(shares) <= picture.MOST_HIDDEN


def test_a_distractor_is_never_an_object_of_a_class(tmp_path: Path, thing: Cutout) -> None:
    neutral = cutout(tmp_path / "mug.png", disc((200, 200, 200), 0))
    cast = Cast(backgrounds(), [neutral])
    drawn = {picture._distractor(cast, cast.backgrounds[0], generator(k)).name for k in range(60)}
    assert drawn == {"mug", "shape/grey-1", "shape/grey-2"}  # and no shape of the picture's own background
    assert thing.name not in drawn


def test_one_generator_gives_one_picture(thing: Cutout) -> None:
    cast = Cast(backgrounds(), [])
    first, second, other = (draw(thing, cast, SIZE, generator(0, k)) for k in (1, 1, 2))
    np.testing.assert_array_equal(first.frame, second.frame)
    assert first.box == second.box
    assert (first.frame != other.frame).any()


@pytest.mark.parametrize(("a", "b"), [((1, 23), (12, 3)), (("a", "bc"), ("ab", "c")), ((0,), (0, 0))])
def test_a_generators_key_is_its_parts_not_their_text_run_together(
    a: tuple[object, ...], b: tuple[object, ...]
) -> None:
    assert generator(*a).random() != generator(*b).random()


def test_a_cut_out_of_which_too_little_shows_is_named(tmp_path: Path) -> None:
    """A veil with a line in it: shrunk, nothing of it is half opaque."""
    bgra = np.full((224, 224, 4), 40, np.uint8)
    bgra[110, 5:219] = 130
    line = cutout(tmp_path / "line.png", bgra)
    with pytest.raises(DataError, match="The cut-out line is too thin"):
        draw(line, Cast(backgrounds(), []), SIZE, generator(0))


# -- backgrounds


def test_a_crop_is_a_square_of_the_photo_anywhere_and_of_any_size() -> None:
    """The photo's pixels say where they are: blue is x, green is y."""
    x, y = np.meshgrid(np.arange(250), np.arange(200))
    ground = Background("map", np.dstack([x, y, 0 * x]).astype(np.uint8))
    sides, mirrored = [], 0
    for k in range(40):
        got = crop(ground, 50, generator(k)).astype(int)
        wide, high = got[:, :, 0].max() - got[:, :, 0].min(), got[:, :, 1].max() - got[:, :, 1].min()
        assert abs(wide - high) <= 2
        sides.append(high)
        mirrored += int(got[0, 0, 0] > got[0, -1, 0])
    assert min(sides) < 90
    assert max(sides) > 165
    assert 8 <= mirrored <= 32


def test_a_photo_as_a_layer_covers_everything() -> None:
    layer = whole(grey(0))
    assert (layer.alpha == 1).all()
    np.testing.assert_array_equal(layer.colour, grey(0))
