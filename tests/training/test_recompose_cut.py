"""Taking a photo apart: thresholds, outlines, painted grounds, and every reason for which one is refused."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edgecam_engines.cam import normalise
from edgecam_engines.engine import Frame
from edgecam_engines.errors import EngineError
from edgecam_engines.fixed import FixedEngine
from edgecam_engines.geometry import map_to
from edgecam_engines.head import Head
from edgecam_training.recompose import cut as cutting
from edgecam_training.recompose.cut import Cut, cut, on_plain, widened
from edgecam_training.recompose.fill import FILLS, Blur, mean_colour
from edgecam_training.recompose.grab import grab, tidy
from edgecam_training.recompose.teacher import Teacher
from edgecam_training.recompose.trimap import relative, trimap
from training.recompose_kit import BLUE, CLASSES, HW, RED, Distracted, disc, ground, photo, teacher

MAPS = arrays(np.float32, (5, 7), elements=st.floats(-4, 4, width=32))


def cut_of(frame: Frame, label: int = RED, by: Teacher | None = None) -> Cut:
    return cut(frame, label, by or teacher(), Blur(), np.random.default_rng(0))


# -- trimap


@given(MAPS)
def test_every_pixel_of_a_trimap_stands_where_the_thresholds_put_it(cam: NDArray[np.float32]) -> None:
    level, found = relative(cam, HW), trimap(cam, HW)
    assert found.shape == HW
    assert ((found == cv2.GC_BGD) == (level <= 0.2)).all()
    assert ((found == cv2.GC_FGD) == (level >= 0.6)).all()
    between = (level > 0.2) & (level < 0.6)
    assert np.isin(found[between], (cv2.GC_PR_BGD, cv2.GC_PR_FGD)).all()


@given(MAPS, st.floats(0.1, 10))
def test_a_map_and_a_multiple_of_it_give_one_trimap(cam: NDArray[np.float32], gain: float) -> None:
    level = relative(cam, HW)
    near = (np.abs(level - 0.2) < 1e-3) | (np.abs(level - 0.6) < 1e-3) | (np.abs(level - 0.4) < 1e-3)
    same = trimap(cam, HW) == trimap(np.float32(gain) * cam, HW)
    assert (same | near).all()


def test_the_levels_are_the_min_max_normalised_map() -> None:
    cam = np.array([[-1, 0, 3]], np.float32)
    assert relative(cam, (1, 3)).tolist() == [[0.0, 0.25, 1.0]]
    big = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    np.testing.assert_array_equal(relative(big, HW), normalise(map_to(big, HW)))


@pytest.mark.parametrize(
    "cam", [np.full((4, 4), -1.0), np.zeros((4, 4)), np.full((4, 4), np.nan), np.ones((4, 4))]
)
def test_a_map_that_points_nowhere_has_nothing_inside(cam: NDArray[np.float64]) -> None:
    assert (trimap(cam.astype(np.float32), HW) == cv2.GC_BGD).all()


# -- outline


@pytest.mark.parametrize("middle", [(64, 48), (20, 48), (110, 90)])
def test_the_outline_is_found_from_a_coarse_map(middle: tuple[int, int]) -> None:
    truth = disc(radius=24, middle=middle)
    frame = photo(RED, mask=truth)
    found = cut_of(frame).mask
    assert found is not None
    assert (found & truth).sum() / (found | truth).sum() > 0.93


def test_an_outline_does_not_depend_on_what_was_cut_before() -> None:
    """GrabCut draws its first clusters with a generator that OpenCV keeps for each thread."""
    frame = photo(RED)
    known = trimap(teacher().look(frame, RED).cam, HW)
    first = grab(frame, known)
    cv2.setRNGSeed(99)
    cv2.randu(np.zeros((5, 5)), 0, 1)
    grab(photo(BLUE, 3), trimap(teacher().look(photo(BLUE, 3), BLUE).cam, HW))
    np.testing.assert_array_equal(grab(frame, known), first)


def test_tidy_keeps_the_piece_of_the_sure_part_closes_pinholes_and_drops_dirt() -> None:
    thing, other = disc(radius=20, middle=(40, 48)), disc(radius=15, middle=(100, 48))
    rough = thing | other
    rough[48, 40:42] = False
    rough[4:6, 4:6] = True
    np.testing.assert_array_equal(tidy(rough, disc(radius=5, middle=(40, 48))), tidy(thing, thing))


def test_tidy_leaves_a_thing_at_the_frames_edge_straight() -> None:
    half = np.zeros(HW, np.bool_)
    half[:, :50] = True
    np.testing.assert_array_equal(tidy(half, half), half)


@given(arrays(np.bool_, (24, 31)), arrays(np.bool_, (24, 31)))
def test_tidy_of_anything_is_empty_or_reached_by_the_sure_part(
    found: NDArray[np.bool_], sure: NDArray[np.bool_]
) -> None:
    kept = tidy(found, sure)
    assert not kept.any() or (kept & sure).any()


# -- painting over


@pytest.mark.parametrize("name", FILLS)
def test_painting_leaves_the_rest_to_the_bit_and_covers_the_thing(name: str) -> None:
    frame, mask = photo(RED), widened(disc())
    painted = FILLS[name]().fill(frame, mask, np.random.default_rng(0))
    np.testing.assert_array_equal(painted[~mask], frame[~mask])
    spread = painted[mask].max(axis=1).astype(int) - painted[mask].min(axis=1)
    assert spread.max() < 30  # no red is left
    np.testing.assert_array_equal(painted, FILLS[name]().fill(frame, mask, np.random.default_rng(7)))


@pytest.mark.parametrize(("name", "drift"), [("blur", 0), ("telea", 8)])  # which rounds pixel by pixel
@given(colour=st.tuples(*[st.integers(0, 255)] * 3), known=st.integers(1, 26))
def test_a_plain_photo_stays_plain(name: str, drift: int, colour: tuple[int, int, int], known: int) -> None:
    mask = np.zeros((20, 27), np.bool_)
    mask[:, known:] = True
    frame = np.full((20, 27, 3), colour, np.uint8)
    painted = FILLS[name]().fill(frame, mask, np.random.default_rng(0))
    assert np.abs(painted.astype(int) - frame).max() <= drift


def test_the_mean_colour_is_that_of_what_is_asked_for() -> None:
    frame = np.zeros((2, 2, 3), np.uint8)
    frame[0] = (10, 20, 30)
    assert mean_colour(frame, np.array([[True, True], [False, False]])).tolist() == [10, 20, 30]
    assert mean_colour(frame, np.zeros((2, 2), np.bool_)).tolist() == [5, 10, 15]


def test_on_a_plain_ground_only_the_thing_keeps_its_pixels() -> None:
    frame, mask = photo(RED), disc()
    plain = on_plain(frame, mask)
    np.testing.assert_array_equal(plain[mask], frame[mask])
    assert (plain[~mask] == mean_colour(frame, ~mask)).all()


# -- what is refused


def test_a_good_photo_gives_a_thing_and_a_ground() -> None:
    found = cut_of(photo(RED))
    assert (found.refused, found.ground_refused) == (None, None)
    assert found.area == pytest.approx(disc().mean(), abs=0.02)
    assert found.ground is not None
    assert found.p_ground is not None
    assert found.p_photo > 0.9
    assert found.p_ground < 0.5


def test_a_class_that_nothing_speaks_for_is_refused() -> None:
    against = Head(-np.eye(3, dtype=np.float32), np.zeros(3, np.float32), CLASSES)
    assert cut_of(photo(RED), by=teacher(head=against)).refused == cutting.NO_MAP


def test_a_thing_below_a_twentieth_is_too_small() -> None:
    found = cut_of(photo(RED, mask=disc(radius=10)))
    assert found.refused == cutting.SMALL
    assert found.area is not None
    assert found.area < 0.05


def test_a_thing_above_four_fifths_is_too_large() -> None:
    mask = np.ones(HW, np.bool_)
    mask[:, :14] = False
    found = cut_of(photo(RED, mask=mask))
    assert found.refused == cutting.LARGE
    assert found.area is not None
    assert found.area > 0.8


def test_a_thing_that_is_named_by_its_ground_alone_is_refused() -> None:
    found = cut_of(photo(RED), by=teacher(Distracted((64, 64), 8)))
    assert found.refused == cutting.UNKNOWN
    assert found.p_thing == pytest.approx(1 / 3)
    assert found.ground is None


def test_a_drop_of_just_what_is_allowed_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is a drop of more than 0.3: of a sure photo, one that keeps 0.7."""
    by = teacher()
    for kept, refused in ((0.71, None), (0.69, cutting.UNKNOWN)):
        monkeypatch.setattr(Teacher, "probability", lambda *_, kept=kept: kept)
        assert cut_of(photo(RED), by=by).refused == refused


def test_a_ground_that_still_shows_the_class_is_refused_and_its_thing_is_not() -> None:
    frame = photo(RED)
    frame[disc(radius=14, middle=(15, 15))] = (40, 40, 125)  # dull enough to lie outside the map
    found = cut_of(frame)
    assert (found.refused, found.ground_refused) == (None, cutting.REMAINS)


def test_a_ground_of_which_little_is_left_is_refused_and_its_thing_is_not() -> None:
    mask = np.ones(HW, np.bool_)
    mask[:, :32] = False
    found = cut_of(photo(RED, mask=mask))
    assert (found.refused, found.ground_refused) == (None, cutting.LITTLE)
    assert found.ground is None


def test_a_teacher_whose_answer_is_no_number_is_told_of() -> None:
    class Broken(FixedEngine):
        def infer(self, frames: Frame, /) -> NDArray[np.float32]:
            return super().infer(frames) * np.float32(np.nan)

    with pytest.raises(EngineError, match="not a number"):
        teacher(Broken((64, 64), 8)).look(ground(0), RED)
