import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecam_engines.cam import largest_box, mask, normalise
from edgecam_engines.geometry import Box

HW = (96, 160)


def random_map(seed: int, hw: tuple[int, int] = (6, 10)) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=hw).astype(np.float32)


@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(-100, 100))
@settings(deadline=None, max_examples=40)
def test_scale_and_offset_of_a_map_change_nothing(seed: int, scale: float, offset: float) -> None:
    cam = random_map(seed)
    moved = (cam * np.float32(scale) + np.float32(offset)).astype(np.float32)
    np.testing.assert_allclose(normalise(moved), normalise(cam), atol=2e-3)
    assert (mask(moved, HW) != mask(cam, HW)).mean() < 0.01


def test_a_map_is_stretched_to_zero_and_one() -> None:
    for seed in range(10):
        level = normalise(random_map(seed))
        assert (level.min(), level.max(), level.dtype) == (0, 1, np.float32)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.3, 1e30, np.nan, np.inf, -np.inf])
def test_a_map_that_says_nothing_marks_nothing(value: float) -> None:
    cam = np.full((6, 10), value, dtype=np.float32)
    assert not normalise(cam).any()
    assert not mask(cam, HW).any()
    assert largest_box(mask(cam, HW)) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_no_number_spoils_the_map_and_not_the_program(value: float) -> None:
    cam = random_map(0)
    cam[2, 3] = value
    assert not normalise(cam).any()
    assert not mask(cam, HW).any()


def test_only_what_is_above_the_level_is_marked() -> None:
    cam = np.array([[0.0, 0.5, 0.5000001, 1.0]], dtype=np.float32)
    assert mask(cam, (1, 4)).tolist() == [[False, False, True, True]]


def test_the_box_is_half_open_and_fits_its_piece_exactly() -> None:
    region = np.zeros((50, 80), dtype=np.bool_)
    region[10:12, 20:25] = True
    assert largest_box(region) == Box(left=20, top=10, right=25, bottom=12)
    assert largest_box(np.ones((5, 7), dtype=np.bool_)) == Box(0, 0, 7, 5)


def test_the_largest_piece_is_the_one_of_most_pixels_even_when_it_is_thin() -> None:
    region = np.zeros((50, 80), dtype=np.bool_)
    region[40, 5:60] = True  # 55 pixels in one row
    region[10:13, 20:23] = True  # 9 pixels in a block
    assert largest_box(region) == Box(5, 40, 60, 41)


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    region = np.zeros((10, 10), dtype=np.bool_)
    region[2:4, 2:4] = region[4:6, 4:6] = True
    assert largest_box(region) == Box(2, 2, 6, 6)


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=50)
def test_no_other_piece_has_more_pixels(seed: int) -> None:
    region = np.random.default_rng(seed).random((12, 17)) < 0.35
    best = max(pieces(region), key=len)
    box = largest_box(region)
    assert box is not None
    tied = [piece for piece in pieces(region) if len(piece) == len(best)]
    assert box in [
        Box(
            min(x for _, x in piece),
            min(y for y, _ in piece),
            max(x for _, x in piece) + 1,
            max(y for y, _ in piece) + 1,
        )
        for piece in tied
    ]


def pieces(region: np.ndarray) -> list[set[tuple[int, int]]]:
    """Connected pieces the slow way: flood from each pixel to its eight neighbours."""
    left = {(int(y), int(x)) for y, x in np.argwhere(region)}
    found = []
    while left:
        piece, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            piece.add((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge += near
        found.append(piece)
    return found
