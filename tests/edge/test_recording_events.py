"""Recording around events, and an encoder that hangs."""

import gc
import json
import os
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

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
from edge.recording_kit import feed, lines, recorder, tell
from edge.told_kit import event
from edgecam.decisions.event import Phase
from edgecam.recorder.encoder import Encoder, OpenCVEncoder
from edgecam.recorder.folder import LOCK
from edgecam.sinks.recording_folder import RecordingFolder
from edgecam_engines.engine import Frame

# -- around events


def test_only_what_lies_around_an_event_is_kept_from_before_its_start_to_after_its_end(
    tmp_path: Path,
) -> None:
    recording = recorder(tmp_path, events_only=True, pre_roll_s=1.0, post_roll_s=0.5, segment_s=60.0)
    for number in range(300):
        feed(recording, range(number, number + 1))
        if number == 103:
            tell(recording, 1, "start", 100)  # told three frames later
        if number == 150:
            tell(recording, 1, "end", 140)
    recording.close()
    assert recorded(tmp_path) == list(range(80, 151))
    (path,) = segments(tmp_path)
    told = [{key: line[key] for key in ("id", "phase", "file", "offset_s")} for line in lines(tmp_path)]
    assert told == [
        {"id": "id-00001", "phase": "start", "file": path.name, "offset_s": pytest.approx(1.0, abs=0.06)},
        {"id": "id-00001", "phase": "end", "file": path.name, "offset_s": pytest.approx(3.0, abs=0.06)},
    ]
    played = numbers_in(path)
    assert played[round(told[0]["offset_s"] * FPS)] == 100
    assert played[round(told[1]["offset_s"] * FPS)] == 140


def test_events_that_overlap_share_a_clip_and_events_far_apart_have_their_own(tmp_path: Path) -> None:
    recording = recorder(tmp_path, events_only=True, pre_roll_s=0.5, post_roll_s=0.5, segment_s=60.0)
    cues: dict[int, tuple[int, Phase]] = {50: (1, "start"), 60: (2, "start"), 70: (1, "end"), 90: (2, "end")}
    cues |= {200: (3, "start"), 210: (3, "end")}
    for number in range(300):
        feed(recording, range(number, number + 1))
        if number in cues:
            tell(recording, *cues[number], number)
    recording.close()
    assert [numbers_in(path) for path in segments(tmp_path)] == [list(range(40, 101)), list(range(190, 221))]
    assert [line["file"] for line in lines(tmp_path)] == [segments(tmp_path)[0].name] * 4 + [
        segments(tmp_path)[1].name
    ] * 2


def test_a_second_clip_begins_though_the_first_is_still_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecam.recorder.recorder.PUMP", 1)
    recording = recorder(tmp_path, events_only=True, pre_roll_s=0.725, post_roll_s=0.425, segment_s=60.0)
    cues: dict[int, tuple[int, Phase, int]] = {60: (1, "start", 0), 65: (1, "end", 5), 90: (2, "start", 90)}
    for number in range(100):
        feed(recording, range(number, number + 1))
        if number in cues:
            tell(recording, *cues[number])
    recording.close()
    assert [numbers_in(path) for path in segments(tmp_path)] == [list(range(66)), list(range(76, 100))]
    first, second = segments(tmp_path)
    assert [(line["id"], line["file"], line["offset_s"]) for line in lines(tmp_path)] == [
        ("id-00001", first.name, 0.0),
        ("id-00001", first.name, 5 / FPS),
        ("id-00002", second.name, 14 / FPS),
    ]


def test_an_event_at_the_very_end_keeps_its_pre_roll(tmp_path: Path) -> None:
    recording = recorder(tmp_path, events_only=True, pre_roll_s=1.0)
    feed(recording, range(50))
    tell(recording, 1, "start", 49)
    tell(recording, 1, "end", 49)
    recording.close()
    assert recorded(tmp_path) == list(range(29, 50))
    assert all(line["file"] for line in lines(tmp_path))


def test_without_an_event_nothing_is_kept(tmp_path: Path) -> None:
    recording = recorder(tmp_path, events_only=True)
    feed(recording, range(100))
    recording.close()
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_events_reach_the_recording_through_the_sink_and_their_pictures_are_let_go(tmp_path: Path) -> None:
    sink = RecordingFolder(tmp_path, plan(events_only=True, pre_roll_s=0.725, post_roll_s=0.425), print)
    for number in range(100):
        sink.write(numbered(number), result(number))
        if number in (40, 45, 50):
            phase: Phase = {40: "start", 45: "update", 50: "end"}[number]  # type: ignore[assignment]
            shown = np.zeros((8, 8, 3), np.uint8)
            let_go = weakref.ref(shown)
            sink.event(event(1, phase, camera="cam", at=AT + number / FPS, frame=shown))
            del shown
            assert let_go() is None
    sink.close()
    assert recorded(tmp_path) == list(range(26, 59))
    assert [line["phase"] for line in lines(tmp_path)] == ["start", "end"]


def test_an_index_that_was_torn_by_a_kill_goes_on_with_a_whole_line(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"id": "torn')
    recording = recorder(tmp_path)
    feed(recording, range(10))
    tell(recording, 1, "start", 5)
    recording.close()
    first, second = (tmp_path / "events.jsonl").read_text().splitlines()
    assert first == '{"id": "torn'
    assert json.loads(second)["offset_s"] == 5 / FPS


# -- the thread


class SlowEncoder:
    """Takes a while over every frame."""

    def __init__(self, path: Path, fps: float, hw: tuple[int, int]) -> None:
        self._real: Encoder = OpenCVEncoder(path, fps, hw)

    def write(self, frame: Frame) -> None:
        time.sleep(0.02)
        self._real.write(frame)

    def close(self) -> None:
        self._real.close()


def test_an_encoder_that_hangs_drops_frames_of_a_camera_and_never_the_loop(tmp_path: Path) -> None:
    go = threading.Event()

    class Hanging(SlowEncoder):
        def write(self, frame: Frame) -> None:
            go.wait(60)
            super().write(frame)

    said: list[str] = []
    sink = RecordingFolder(tmp_path, plan(), said.append, open_encoder=Hanging)
    large = numbered(1, (1080, 1920))  # 6 MB: ten of them wait
    for number in range(60):
        sink.write(large, result(number))
    assert not go.is_set(), "the loop got here while nothing was encoded"
    assert 60 - 12 <= sink.lost <= 60 - 10
    go.set()
    sink.close()
    assert f"{sink.lost} frames were not recorded" in said[0]
    assert sum(len(numbers_in(path)) for path in segments(tmp_path)) >= 60 - sink.lost


def test_many_segments_leave_nothing_open(tmp_path: Path) -> None:
    recording = recorder(tmp_path, segment_s=0.25)
    feed(recording, range(20))
    gc.collect()
    before = len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208
    feed(recording, range(20, 400))
    assert len(segments(tmp_path)) >= 70
    gc.collect()
    now = len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208
    assert now <= before
    recording.close()


def test_of_a_file_nothing_is_dropped_however_slow_the_encoder(tmp_path: Path) -> None:
    sink = RecordingFolder(tmp_path, plan(live=False), print, open_encoder=SlowEncoder)
    for number in range(60):
        sink.write(numbered(number, (720, 1280)), result(number))
    sink.close()
    assert recorded(tmp_path) == list(range(60))
