from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.loop_kit import frames_in, scene
from edgecam.belt import MOVING, STILL, belt_frames, write_belt
from edgecam_engines.errors import OutputError
from edgecam_engines.photo import BadPhoto, read_photo

SIDE = 96


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Three photos of other sizes than the belt's."""
    paths = [tmp_path / f"{kind}.png" for kind in range(3)]
    for kind, path in enumerate(paths):
        assert cv2.imwrite(str(path), scene(kind, (60 + kind, 80)))
    return paths


def test_the_belt_stops_with_each_photo_exactly_in_view(photos: list[Path]) -> None:
    frames = list(belt_frames(photos, SIDE))
    assert len(frames) == 3 * (MOVING + STILL)
    for number, path in enumerate(photos):
        whole = cv2.resize(read_photo(path), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        start = number * (MOVING + STILL)
        for frame in frames[start + MOVING - 1 : start + MOVING + STILL]:
            np.testing.assert_array_equal(frame, whole)


def test_between_photos_the_belt_moves_one_way_and_shows_both(photos: list[Path]) -> None:
    frames = list(belt_frames(photos[:2], SIDE))
    before, after = frames[MOVING], frames[-1]
    moving = frames[MOVING + STILL : 2 * MOVING + STILL]
    widths = []  # of what is in view of the next photo; the only one at which both halves fit
    for frame in moving:
        fitting = [
            width
            for width in range(1, SIDE + 1)
            if np.array_equal(frame, np.hstack([before[:, width:], after[:, :width]]))
        ]
        assert len(fitting) == 1
        widths += fitting
    assert widths == sorted(set(widths))
    assert widths[-1] == SIDE


def test_frames_are_what_a_camera_gives(photos: list[Path]) -> None:
    for frame in belt_frames(photos[:1], SIDE):
        assert (frame.shape, frame.dtype) == ((SIDE, SIDE, 3), np.uint8)
        assert frame.flags.c_contiguous


def test_the_video_plays_every_frame(photos: list[Path], tmp_path: Path) -> None:
    write_belt(photos, tmp_path / "belt.mp4", SIDE)
    assert len(frames_in(tmp_path / "belt.mp4")) == 3 * (MOVING + STILL)


def test_a_place_that_cannot_be_written_is_told(photos: list[Path], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written as a video"):
        write_belt(photos, tmp_path / "no" / "such" / "folder" / "belt.mp4", SIDE)


def test_a_photo_that_cannot_be_read_is_named(photos: list[Path], tmp_path: Path) -> None:
    photos[1].write_bytes(b"")
    with pytest.raises(BadPhoto, match=r"1\.png"):
        list(belt_frames(photos, SIDE))
