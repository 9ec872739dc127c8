import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecam_engines.geometry import Box, fit, fit_batch, map_to, scale_box

SIDES = st.integers(1, 400)
HW = st.tuples(SIDES, SIDES)


@st.composite
def boxed(draw: st.DrawFn) -> tuple[tuple[int, int], Box]:
    """A picture's size, and a box of at least one pixel inside it."""
    h, w = draw(HW)
    top, left = draw(st.integers(0, h - 1)), draw(st.integers(0, w - 1))
    return (h, w), Box(left, top, draw(st.integers(left + 1, w)), draw(st.integers(top + 1, h)))


@given(boxed(), HW)
def test_a_box_stays_inside_and_never_vanishes(
    where: tuple[tuple[int, int], Box], to: tuple[int, int]
) -> None:
    box = scale_box(where[1], where[0], to)
    assert 0 <= box.left < box.right <= to[1]
    assert 0 <= box.top < box.bottom <= to[0]


@given(boxed(), HW)
def test_a_box_covers_what_it_covered(where: tuple[tuple[int, int], Box], to: tuple[int, int]) -> None:
    (h, w), box = where
    scaled = scale_box(box, (h, w), to)
    slack = 1e-6
    assert scaled.left * w <= box.left * to[1] + slack * w
    assert scaled.right * w >= box.right * to[1] - slack * w
    assert scaled.top * h <= box.top * to[0] + slack * h
    assert scaled.bottom * h >= box.bottom * to[0] - slack * h


@given(boxed(), st.integers(1, 7), st.integers(1, 5))
def test_a_box_that_goes_to_a_whole_multiple_and_back_is_the_same(
    where: tuple[tuple[int, int], Box], down: int, across: int
) -> None:
    (h, w), box = where
    larger = (h * down, w * across)
    assert scale_box(box, (h, w), (h, w)) == box
    there = scale_box(box, (h, w), larger)
    assert there == Box(box.left * across, box.top * down, box.right * across, box.bottom * down)
    assert scale_box(there, larger, (h, w)) == box


@settings(deadline=None, max_examples=40)
@given(HW, HW, st.integers(0, 255))
def test_a_plain_frame_of_any_size_is_fitted_to_the_same_colour(
    hw: tuple[int, int], to: tuple[int, int], value: int
) -> None:
    fitted = fit(np.full((*hw, 3), value, dtype=np.uint8), to)
    assert fitted.shape == (*to, 3)
    assert fitted.dtype == np.uint8
    assert (fitted == value).all()


def test_the_whole_frame_is_used_and_its_sides_keep_their_places() -> None:
    frame = np.zeros((90, 160, 3), dtype=np.uint8)
    frame[:, :40] = 255  # the left quarter
    fitted = fit(frame, (32, 64))
    assert (fitted[:, :15] == 255).all()
    assert (fitted[:, 17:] == 0).all()
    frame = np.zeros((90, 160, 3), dtype=np.uint8)
    frame[:45] = 255  # the upper half
    fitted = fit(frame, (32, 64))
    assert (fitted[:15] == 255).all()
    assert (fitted[17:] == 0).all()


def test_a_frame_that_fits_already_costs_nothing() -> None:
    frame = np.zeros((32, 64, 3), dtype=np.uint8)
    assert fit(frame, (32, 64)) is frame


def test_frames_of_several_sizes_make_one_batch() -> None:
    frames = [np.zeros((h, w, 3), dtype=np.uint8) for h, w in ((20, 30), (200, 31), (32, 64))]
    assert fit_batch(frames, (32, 64)).shape == (3, 32, 64, 3)


@pytest.mark.parametrize("hw", [(96, 160), (90, 130), (600, 33)])
@pytest.mark.parametrize("cell", [(0, 0), (2, 7), (5, 9), (3, 4)])
def test_the_centre_of_a_cell_stays_where_it_is_in_the_picture(
    hw: tuple[int, int], cell: tuple[int, int]
) -> None:
    """A peak in one cell is above one half exactly around that cell's own pixels."""
    cam = np.zeros((6, 10), dtype=np.float32)
    cam[cell] = 1
    rows, columns = np.nonzero(map_to(cam, hw) > 0.5)
    for place, side, cells, at in ((rows, hw[0], 6, cell[0]), (columns, hw[1], 10, cell[1])):
        middle = (place.min() + place.max() + 1) / 2
        half = side / cells / 2
        # At the border there is no neighbour to fade towards, so the peak reaches the edge.
        assert abs(middle - (at + 0.5) * side / cells) <= half / 2 + 1


def test_a_map_goes_up_and_comes_down_as_it_was() -> None:
    ramp = np.add.outer(np.arange(6), 2 * np.arange(10)).astype(np.float32)
    back = map_to(map_to(ramp, (96, 160)), (6, 10))
    np.testing.assert_allclose(back[1:-1, 1:-1], ramp[1:-1, 1:-1], atol=1e-3)
