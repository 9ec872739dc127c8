"""The camera for tests, which must itself be right; and files that loop or keep their own speed."""

import threading
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.loop_kit import make_video, scene
from edgecam.sources import open_source
from edgecam.sources.fixed import MOST, Fixed, FixedOptions, number_of, numbered
from edgecam_engines.errors import SourceError


def silent(words: str) -> None:
    pass


class Clock:
    """Stands still but for sleeping."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@settings(max_examples=50)
@given(st.integers(0, MOST), st.integers(192, 400), st.integers(16, 100), st.integers(30, 95))
def test_a_number_survives_the_pixels_and_jpeg(number: int, width: int, height: int, quality: int) -> None:
    frame = numbered(number, width, height)
    assert frame.shape == (height, width, 3)
    coded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    assert number_of(frame) == number
    assert number_of(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)) == number


def test_frames_come_at_their_rate_in_order_and_end() -> None:
    clock = Clock()
    source = Fixed(FixedOptions(fps=10.0, frames=4), now=clock, sleep=clock.sleep)
    given = [(number_of(source.retrieve()), source.stamp()) for _ in islice(iter(source.grab, False), 9)]
    assert [number for number, _ in given] == [0, 1, 2, 3]
    assert [stamp for _, stamp in given] == pytest.approx([100.0, 100.1, 100.2, 100.3])


def test_a_slow_taker_is_not_flooded_with_what_it_missed() -> None:
    clock = Clock()
    source = Fixed(FixedOptions(fps=10.0), now=clock, sleep=clock.sleep)
    source.grab()
    clock.sleep(5.0)
    source.grab()
    assert source.stamp() == 105.0
    source.grab()
    assert source.stamp() == pytest.approx(105.1)


def test_it_dies_and_resizes_when_it_is_told_to() -> None:
    with closing(open_source("fixed://?fps=1000&height=64&die_after=4&resize_after=2", silent)) as source:
        shapes = [source.retrieve().shape[0] for _ in range(4) if source.grab()]
        assert shapes == [64, 64, 32, 32]
        with pytest.raises(SourceError, match="stopped giving frames"):
            source.grab()


def test_it_hangs_when_it_is_told_to_until_it_is_closed() -> None:
    source = open_source("fixed://?fps=1000&hang_after=1", silent)
    source.grab()
    outcome: list[str] = []

    def hang() -> None:
        try:
            source.grab()
        except SourceError:
            outcome.append("lost")

    thread = threading.Thread(target=hang)
    thread.start()
    time.sleep(0.1)
    assert thread.is_alive()
    source.close()
    thread.join(5)
    assert outcome == ["lost"]


def test_nothing_but_options_may_follow() -> None:
    with pytest.raises(SourceError, match="only options follow"):
        open_source("fixed://red", silent)


# ---- playback


def test_a_file_that_loops_begins_again_with_its_first_frame(tmp_path: Path) -> None:
    path = make_video(tmp_path / "what?.mp4", frames=3)
    with closing(open_source(f"{path}?loop=1", silent)) as source:
        frames = [source.retrieve() for _ in range(7) if source.grab()]
        assert not source.live
        assert source.fps == 25
    assert len(frames) == 7
    np.testing.assert_array_equal(frames[6], frames[0])
    np.testing.assert_array_equal(frames[5], frames[2])
    assert (frames[0] != frames[2]).any()


def test_a_folder_loops_too_and_a_file_url_names_it(tmp_path: Path) -> None:
    for i in range(2):
        cv2.imwrite(str(tmp_path / f"{i}.png"), scene(i))
    with closing(open_source(f"file://{tmp_path}?loop=1", silent)) as source:
        frames = [source.retrieve() for _ in range(3) if source.grab()]
    np.testing.assert_array_equal(frames[2], scene(0))


def test_a_file_in_real_time_is_a_live_source(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", frames=3)
    with closing(open_source(f"{path}?realtime=1", silent)) as source:
        assert source.live
        began = time.monotonic()
        assert [source.grab() for _ in range(4)] == [True, True, True, False]
        assert time.monotonic() - began >= 2 / 25
    with pytest.raises(SourceError, match=r"no option 'realtme'. Did you mean realtime\?"):
        open_source(f"{path}?realtme=1", silent)
