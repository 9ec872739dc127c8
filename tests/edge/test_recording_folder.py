"""Segments, as files that are read back: complete, in order, in their own time."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.loop_kit import frames_in
from edge.recorder_kit import (
    AT,
    FPS,
    numbered,
    numbers_in,
    plan,
    recorded,
    result,
    segments,
)
from edge.recording_kit import feed, recorder
from edge.told_kit import status
from edgecam.recorder.folder import LOCK
from edgecam.sinks.listener import Listener
from edgecam.sinks.open_recording import open_recording
from edgecam.sinks.recording_folder import RecordingFolder
from edgecam_engines.errors import OutputError

# -- segments


def test_every_frame_is_in_exactly_one_segment_and_in_order(tmp_path: Path) -> None:
    recording = recorder(tmp_path)
    feed(recording, range(100))
    recording.close()
    assert recorded(tmp_path) == list(range(100))
    assert [len(numbers_in(path)) for path in segments(tmp_path)] == [40, 40, 20], "two seconds each"
    assert recording.lost == 0


def test_a_segment_is_named_by_camera_time_and_number_and_is_complete_while_the_next_is_written(
    tmp_path: Path,
) -> None:
    recording = recorder(tmp_path)
    feed(recording, range(50), camera="/dev/video0")
    names = sorted(path.name for path in tmp_path.iterdir() if path.name != LOCK)
    assert names == [
        "dev_video0-03e8_20231114T221320.000Z_000001.mp4",
        "dev_video0-03e8_20231114T221322.000Z_000002.part.ismv",
    ]
    assert numbers_in(tmp_path / names[0]) == list(range(40))
    recording.close()


def test_two_cameras_have_segments_of_their_own(tmp_path: Path) -> None:
    recording = recorder(tmp_path)
    for number in range(30):
        for camera, first in (("a", 0), ("b", 500)):
            recording.frame(numbered(first + number), camera, AT + number / FPS)
    recording.close()
    by_camera = {path.name[0]: numbers_in(path) for path in segments(tmp_path)}
    assert by_camera == {"a": list(range(30)), "b": list(range(500, 530))}


def test_a_slow_camera_is_recorded_in_its_own_time(tmp_path: Path) -> None:
    recording = recorder(tmp_path, segment_s=100.0)
    feed(recording, range(20), fps=4.0)
    recording.close()
    (path,) = segments(tmp_path)
    played = numbers_in(path)
    assert len(played) == pytest.approx(19 / 4 * FPS + 1, abs=1)
    assert played[int(3 * FPS)] == 12, "three seconds after the start"


def test_a_live_segment_after_the_first_has_the_rate_of_its_frames(tmp_path: Path) -> None:
    recording = recorder(tmp_path, fps=60.0)
    feed(recording, range(120), fps=15.0)
    recording.close()
    later = segments(tmp_path)[1:]
    assert later
    assert sum(len(numbers_in(path)) for path in later) <= 1.1 * len(
        {n for p in later for n in numbers_in(p)}
    )


def test_a_file_is_recorded_frame_by_frame_whatever_the_time_of_day(tmp_path: Path) -> None:
    recording = recorder(tmp_path, live=False)
    for number in range(60):
        recording.frame(numbered(number), "clip.mp4", AT)
    recording.close()
    assert recorded(tmp_path) == list(range(60))


def test_a_changed_frame_size_begins_a_new_segment(tmp_path: Path) -> None:
    recording = recorder(tmp_path)
    feed(recording, range(10))
    for number in range(10, 20):
        recording.frame(numbered(number, (192, 256)), "cam", AT + number / FPS)
    recording.close()
    assert [frames_in(path)[0].shape for path in segments(tmp_path)] == [(96, 192, 3), (192, 256, 3)]
    assert recorded(tmp_path) == list(range(20))


def test_photos_of_any_size_share_the_segments_of_a_folder(tmp_path: Path) -> None:
    recording = recorder(tmp_path, live=False)
    for hw in ((96, 192), (50, 50), (201, 99)):
        recording.frame(np.full((*hw, 3), 200, np.uint8), "photos", AT)
    recording.close()
    (path,) = segments(tmp_path)
    assert [frame.shape for frame in frames_in(path)] == [(96, 192, 3)] * 3


def test_a_clock_that_steps_back_or_leaps_never_overwrites_or_fills_a_segment(tmp_path: Path) -> None:
    recording = recorder(tmp_path, segment_s=1.0)
    at = [AT, AT + 1e6, AT - 1e6, -5.0, 1e12, AT]
    for number in range(120):
        recording.frame(numbered(number), "cam", at[number // 20] + number / FPS)
    recording.close()
    found = segments(tmp_path)
    assert len({path.name for path in found}) == len(found) >= 5
    played = recorded(tmp_path)
    assert list(dict.fromkeys(played)) == list(range(120)), "in the order in which they came"
    assert len(played) <= 120 + 2 * FPS, "a leap is cut, not filled"


def test_numbers_go_on_where_the_last_run_ended(tmp_path: Path) -> None:
    for run in range(3):
        recording = recorder(tmp_path)
        feed(recording, range(100 * run, 100 * run + 10))
        recording.close()
    assert [path.stem[-6:] for path in segments(tmp_path)] == ["000001", "000002", "000003"]
    assert recorded(tmp_path) == [*range(10), *range(100, 110), *range(200, 210)]


def test_a_lost_camera_leaves_a_complete_segment(tmp_path: Path) -> None:
    sink = RecordingFolder(tmp_path, plan(), print)
    assert isinstance(sink, Listener)
    for number in range(10):
        sink.write(numbered(number), result(number))
    for _ in range(3):
        sink.status(status("lost", camera="cam"))
    deadline = time.monotonic() + 10
    while not segments(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert recorded(tmp_path) == list(range(10))
    sink.close()


def test_the_sink_records_a_copy_since_the_loop_may_use_the_memory_again(tmp_path: Path) -> None:
    sink = RecordingFolder(tmp_path, plan(), print)
    lent = numbered(0)
    for number in range(40):
        lent[:] = numbered(number)
        sink.write(lent, result(number))
    sink.close()
    sink.close()
    assert recorded(tmp_path) == list(range(40))
    assert sink.lost == 0


# -- the option


def opened(path: Path, *, events_only: bool = False) -> Any:
    return open_recording(
        path,
        print,
        fps=FPS,
        live=True,
        segment_s=2.0,
        pre_roll_s=1.0,
        events_only=events_only,
        quota_mb=100.0,
    )


def test_a_name_that_ends_in_mp4_is_a_file_and_any_other_a_folder(tmp_path: Path) -> None:
    for name in ("clip.mp4", "folder"):
        sink = opened(tmp_path / name)
        for number in range(5):
            sink.write(numbered(number), result(number))
        sink.close()
    assert numbers_in(tmp_path / "clip.mp4") == list(range(5))
    assert recorded(tmp_path / "folder") == list(range(5))


def test_a_file_cannot_be_recorded_around_events(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"--record \S*clip --record-events"):
        opened(tmp_path / "clip.mp4", events_only=True)
    with pytest.raises(OutputError, match=r"does not end in \.mp4"):
        opened(tmp_path / "clip.avi")


def test_a_place_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--record FOLDER"):
        opened(tmp_path / "file")
