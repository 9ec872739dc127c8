"""What sets the second branch apart: pictures and maps move alike, and maps come back."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgecam_training.options import SEAM_TRANSFORMS, shrunk
from edgecam_training.seam.transforms import (
    TRANSFORMS,
    Flip,
    QuarterTurn,
    Rescale,
    Shift,
    Tilt,
    Transform,
)

HW = (64, 96)
GRID = (4, 6)
SOME: list[Transform] = [
    Rescale(HW, (64, 64)),
    Rescale(HW, HW),
    Flip(),
    QuarterTurn(1),
    QuarterTurn(2),
    QuarterTurn(3),
    Tilt(12.0),
    Tilt(-20.0),
    Shift(1, -2),
    Shift(0, 1),
]


def smooth(h: int, w: int) -> Tensor:
    """A hill and a slope, (1, 2, h, w)."""
    y, x = torch.linspace(-1, 1, h)[:, None], torch.linspace(-1, 1, w)
    hill = torch.exp(-((y - 0.2) ** 2 + (x + 0.1) ** 2) * 2)
    return torch.stack([hill, (x + 2 * y).expand(h, w)])[None]


def shown(map_: Tensor) -> Tensor:
    """A map as a grey picture, each cell 16 x 16 pixels, (1, 16h, 16w, 3) uint8."""
    pixels = map_.repeat_interleave(16, 0).repeat_interleave(16, 1)
    return (pixels * 255).round().to(torch.uint8)[None, :, :, None].expand(-1, -1, -1, 3)


def cell_means(frames: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(frames[..., 0].float()[:, None], 16)[0, 0] / 255


@pytest.mark.parametrize("transform", SOME, ids=str)
def test_a_constant_map_stays_constant_where_both_branches_see_it(transform: Transform) -> None:
    moved = transform.maps(torch.full((1, 2, *GRID), 3.0))
    valid = transform.valid((moved.shape[2], moved.shape[3]))
    torch.testing.assert_close(moved[:, :, valid], torch.full_like(moved[:, :, valid], 3.0))
    assert valid.float().mean() >= 0.3
    assert bool(valid.all()) == (not isinstance(transform, Tilt | Shift))


@pytest.mark.parametrize("transform", [Flip(), *map(QuarterTurn, (1, 2, 3))], ids=str)
def test_flips_and_quarter_turns_come_back_to_the_last_bit(transform: Transform) -> None:
    cams = torch.randn(2, 3, *GRID)
    moved = transform.maps(cams)
    assert not torch.equal(moved, cams)
    assert torch.equal(transform.back(moved), cams)


@settings(deadline=None, max_examples=40)
@given(h=st.integers(2, 7), w=st.integers(2, 7), down=st.integers(-2, 2), right=st.integers(-2, 2))
def test_a_shift_comes_back_where_it_was_seen_and_is_nothing_elsewhere(
    h: int, w: int, down: int, right: int
) -> None:
    shift, cams = Shift(down, right), torch.rand(1, 2, h, w) + 1
    kept = shift.back(shift.valid((h, w)).float()[None, None])[0, 0] > 0
    assert int(kept.sum()) == max(0, h - abs(down)) * max(0, w - abs(right))
    again = shift.back(shift.maps(cams))
    assert torch.equal(again, cams * kept)


def test_a_map_shifted_by_hand() -> None:
    cams = torch.arange(6.0).reshape(1, 1, 2, 3)
    assert Shift(1, -1).maps(cams)[0, 0].tolist() == [[0, 0, 0], [1, 2, 0]]
    assert Shift(1, -1).valid((2, 3)).tolist() == [[False] * 3, [True, True, False]]


@pytest.mark.parametrize("degrees", [5.0, 12.0, -20.0])
def test_a_tilted_smooth_map_comes_back_in_the_middle(degrees: float) -> None:
    cams, tilt = smooth(20, 32), Tilt(degrees)
    again = tilt.back(tilt.maps(cams))
    middle = (slice(None), slice(None), slice(6, 14), slice(9, 23))
    torch.testing.assert_close(again[middle], cams[middle], atol=0.02, rtol=0)
    assert (tilt.maps(cams)[middle] - cams[middle]).abs().max() > 0.05


@pytest.mark.parametrize("degrees", [7.0, -20.0, 90.0])
def test_a_tilt_is_the_rotation_of_opencv_also_where_sides_differ(degrees: float) -> None:
    cams = smooth(20, 32)[0, 0].numpy()
    middle = ((32 - 1) / 2, (20 - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, degrees, 1)  # anticlockwise
    theirs = cv2.warpAffine(cams, matrix, (32, 20), flags=cv2.INTER_LINEAR)
    ours = Tilt(degrees).maps(torch.from_numpy(cams)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(ours, theirs, atol=0.02)  # OpenCV rounds its weights


def test_a_tilt_turns_the_way_of_a_quarter_turn() -> None:
    square = torch.randn(1, 2, 5, 5)
    torch.testing.assert_close(Tilt(90).maps(square), QuarterTurn(1).maps(square), atol=1e-5, rtol=0)


@pytest.mark.parametrize("transform", SOME, ids=str)
def test_pictures_move_as_their_maps_do(transform: Transform) -> None:
    map_ = smooth(*GRID)[0, 0].clamp(0, 1)
    expected = transform.maps(map_[None, None])[0, 0]
    frames = transform.frames(shown(map_))
    assert frames.dtype == torch.uint8
    assert frames.shape == (1, 16 * expected.shape[0], 16 * expected.shape[1], 3)
    valid = transform.valid((expected.shape[0], expected.shape[1]))
    torch.testing.assert_close(cell_means(frames)[valid], expected[valid], atol=0.08, rtol=0)


def test_what_comes_from_outside_is_grey() -> None:
    white = torch.full((1, *HW, 3), 255, dtype=torch.uint8)
    shifted = Shift(2, 0).frames(white)
    assert shifted[0, :32].unique().tolist() == [127]
    assert shifted[0, 32:].unique().tolist() == [255]
    assert Tilt(15).frames(white)[0, 0, 0].tolist() == [127, 127, 127]


@pytest.mark.parametrize("hw", [(64, 64), (64, 160), (224, 96)])
@pytest.mark.parametrize("name", SEAM_TRANSFORMS)
def test_every_named_transform_gives_what_the_network_takes_and_follows_from_its_generator(
    name: str, hw: tuple[int, int]
) -> None:
    frames = torch.randint(0, 256, (1, *hw, 3), dtype=torch.uint8)
    for seed in range(20):
        drawn = [TRANSFORMS[name](hw, 0.6, torch.Generator().manual_seed(seed)) for _ in range(2)]
        assert drawn[0] == drawn[1]
        moved = drawn[0].frames(frames)
        assert all(side % 32 == 0 for side in moved.shape[1:3])
        assert moved.shape != frames.shape or not torch.equal(moved, frames) or hw == (64, 64)
        assert drawn[0].valid((moved.shape[1] // 16, moved.shape[2] // 16)).float().mean() > 0.4


def test_the_settings_name_exactly_the_transforms_there_are() -> None:
    assert tuple(TRANSFORMS) == SEAM_TRANSFORMS


def test_shrinking_keeps_colours_and_places() -> None:
    frames = torch.zeros(2, 64, 96, 3, dtype=torch.uint8)
    frames[0, :32, :48] = torch.tensor([10, 100, 200], dtype=torch.uint8)
    small = Rescale((64, 96), (32, 64)).frames(frames)
    assert small.shape == (2, 32, 64, 3)
    assert small.dtype == torch.uint8
    assert small[0, 0, 0].tolist() == [10, 100, 200]
    assert small[0, 15, 31].tolist() == [10, 100, 200]
    assert not small[0, 17:].any()
    assert not small[1].any()


def test_shrinking_is_the_linear_interpolation_of_the_camera() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    ours = Rescale((64, 96), (32, 64)).frames(torch.from_numpy(frame)[None])[0].numpy().astype(int)
    theirs = cv2.resize(frame, (64, 32), interpolation=cv2.INTER_LINEAR).astype(int)
    assert abs(ours - theirs).max() <= 1  # OpenCV rounds its weights


@pytest.mark.parametrize("hw", [(320, 480), (480, 288)])
def test_a_smooth_map_comes_back_from_shrinking(hw: tuple[int, int]) -> None:
    transform = Rescale(hw, shrunk(hw, 0.6))
    cams = smooth(hw[0] // 16, hw[1] // 16)
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    again = transform.back(transform.maps(cams))
    assert again.shape == cams.shape
    torch.testing.assert_close(again[inner], cams[inner], atol=0.05, rtol=0)
