"""Segments, as files that are read back: complete, in order, in their own time, on whatever disk."""

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.loop_kit import frames_in
from edge.recorder_kit import (
    AT,
    FPS,
    fill,
    numbered,
    numbers_in,
    plan,
    recorded,
    result,
    segments,
    write_part,
)
from edge.told_kit import event, status
from edgecam.decisions.event import Phase
from edgecam.recorder.encoder import Encoder, OpenCVEncoder
from edgecam.recorder.folder import LOCK
from edgecam.recorder.moment import moment_of
from edgecam.recorder.recorder import Recorder
from edgecam.sinks.listener import Listener
from edgecam.sinks.open_recording import open_recording
from edgecam.sinks.recording_folder import RecordingFolder
from edgecam_engines.engine import Frame
from edgecam_engines.errors import OutputError


def recorder(folder: Path, said: list[str] | None = None, **changes: Any) -> Recorder:
    heard: list[str] = [] if said is None else said
    return Recorder(folder, plan(**changes), OpenCVEncoder, heard.append)


def feed(to: Recorder, numbers: range, *, camera: str = "cam", fps: float = FPS, noise: bool = False) -> None:
    for number in numbers:
        to.frame(numbered(number, noise=noise), camera, AT + number / fps)


def tell(to: Recorder, name: int, phase: Phase, frame: int) -> None:
    """An event that began, or was seen last, with this frame."""
    moment = moment_of(event(name, phase, camera="cam", at=AT + frame / FPS))
    assert moment is not None
    to.moment(moment)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


# ---- segments


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


# ---- kill -9

KILLED = """
import os, signal, sys
from pathlib import Path
from edge.recorder_kit import AT, FPS, numbered, plan
from edgecam.recorder.encoder import OpenCVEncoder
from edgecam.recorder import gstreamer
from edgecam.recorder.moment import moment_of
from edgecam.recorder.recorder import Recorder
opened = OpenCVEncoder if sys.argv[2] == "opencv" else gstreamer.opener(sys.argv[2])
recorder = Recorder(Path(sys.argv[1]), plan(segment_s=60.0), opened, print)
for number in range(200):
    recorder.frame(numbered(number, (240, 320), noise=True), "cam", AT + number / FPS)
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(folder: Path, encoder: str) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), encoder], env=environ, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL


def test_after_kill_9_all_but_the_last_second_is_found_by_the_next_run(tmp_path: Path) -> None:
    killed(tmp_path, "opencv")
    (part,) = tmp_path.glob("*.part.ismv")
    assert not segments(tmp_path)
    said: list[str] = []
    recorder(tmp_path, said).close()
    assert not part.exists()
    played = recorded(tmp_path)
    assert played == list(range(len(played)))
    assert len(played) >= 200 - FPS, "at most a second is lost"
    assert said == [
        f"{segments(tmp_path)[0]} was left open by an earlier run; {len(played)} frames are kept."
    ]


def test_a_part_without_a_whole_fragment_is_said_and_removed(tmp_path: Path) -> None:
    part = tmp_path / "cam_20231114T221320.000Z_000007.part.ismv"
    write_part(part, 30)
    part.write_bytes(part.read_bytes()[:1000])
    said: list[str] = []
    recorder(tmp_path, said).close()
    assert not segments(tmp_path)
    assert not part.exists()
    assert "before its first fragment" in said[0]


def test_only_one_process_records_into_a_folder(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from edge.test_recording_folder import recorder
recorder(Path({str(tmp_path)!r})).close()
"""
    command = [sys.executable, "-c", script]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    first = recorder(tmp_path)
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert f"OutputError: Another edgecam records into {tmp_path}" in done.stderr
    first.close()
    subprocess.run(command, env=environ, check=True, timeout=60)


# ---- the quota and the disk


def test_the_oldest_segments_go_when_the_quota_is_reached_and_nothing_else_does(tmp_path: Path) -> None:
    folder, outside = tmp_path / "recordings", tmp_path / "outside.mp4"
    folder.mkdir()
    outside.write_bytes(bytes(500_000))
    foreign = {
        "holiday.mp4": bytes(300_000),
        "cam_20231114T221320.000Z_000001.mkv": b"x",
        "cam_20231114T221320.000Z_1.mp4": b"x",
        "notes.txt": b"x",
    }
    for name, content in foreign.items():
        (folder / name).write_bytes(content)
    (folder / "cam_20200101T000000.000Z_000001.mp4").symlink_to(outside)
    (folder / "cam_20200101T000000.000Z_000002.mp4").mkdir()
    quota = 600_000
    now = [0.0]
    recording = Recorder(folder, plan(quota_bytes=quota), OpenCVEncoder, print, now=lambda: now[0])
    for number in range(200):
        now[0] += 0.5
        recording.frame(numbered(number, (240, 320), noise=True), "cam", AT + number / FPS)
    ours = sum(p.lstat().st_size for p in folder.iterdir() if p.is_file() and "cam" in p.name)
    recording.close()
    assert ours <= quota + outside.stat().st_size + 200_000
    for name, content in foreign.items():
        assert (folder / name).read_bytes() == content
    assert outside.stat().st_size == 500_000
    assert (folder / "cam_20200101T000000.000Z_000001.mp4").is_symlink()
    assert (folder / "cam_20200101T000000.000Z_000002.mp4").is_dir()
    played = recorded(folder)
    assert played == list(range(played[0], 200)), "what is left is the newest, without a gap"
    assert played[0] > 0


@pytest.fixture
def disk_size() -> str:
    return "3m"


def test_on_a_full_disk_recording_pauses_says_so_once_and_goes_on_when_there_is_room(
    small_disk: Path,
) -> None:
    said: list[str] = []
    now = [0.0]
    recording = Recorder(
        small_disk / "rec", plan(segment_s=0.5), OpenCVEncoder, said.append, now=lambda: now[0]
    )

    def frames(numbers: range) -> None:
        for number in numbers:
            now[0] += 1 / FPS
            recording.frame(numbered(number), "cam", AT + number / FPS)

    frames(range(30))
    foreign = fill(small_disk)
    frames(range(30, 130))
    assert len(said) == 1, "once, over five seconds"
    assert "pauses: the disk is full" in said[0]
    during = recording.lost
    assert during > 0
    foreign.unlink()
    frames(range(130, 200))
    recording.close()
    assert "goes on" in said[1]
    assert len(said) == 2
    played = recorded(small_disk / "rec")
    assert played == sorted(set(played)), "nothing twice"
    assert set(range(150, 200)) <= set(played)
    assert all(path.suffix == ".mp4" for path in (small_disk / "rec").iterdir() if path.name[0] != ".")


def test_a_disk_smaller_than_the_quota_keeps_the_newest(small_disk: Path) -> None:
    said: list[str] = []
    now = [0.0]
    recording = Recorder(
        small_disk, plan(segment_s=0.5, spare_bytes=300_000), OpenCVEncoder, said.append, now=lambda: now[0]
    )
    for number in range(300):
        now[0] += 1 / FPS
        recording.frame(numbered(number, (240, 320), noise=True), "cam", AT + number / FPS)
    recording.close()
    assert said == []
    played = recorded(small_disk)
    assert played == list(range(played[0], 300))
    assert played[0] > 0
    assert shutil.disk_usage(small_disk).used > 1_000_000, "and no more goes than must"
    assert recording.lost == 0


def test_a_folder_that_goes_away_pauses_the_recording_and_no_more(tmp_path: Path) -> None:
    said: list[str] = []
    now = [0.0]
    folder = tmp_path / "rec"
    recording = Recorder(folder, plan(), OpenCVEncoder, said.append, now=lambda: now[0])
    feed(recording, range(10))
    folder.rename(tmp_path / "elsewhere")
    for number in range(10, 60):
        now[0] += 0.2
        recording.frame(numbered(number), "cam", AT + number / FPS)
    assert len(said) == 1
    assert "pauses: No such file or directory" in said[0]
    (tmp_path / "elsewhere").rename(folder)
    for number in range(60, 80):
        now[0] += 0.2
        recording.frame(numbered(number), "cam", AT + number / FPS)
    recording.close()
    assert set(range(70, 80)) <= set(recorded(folder))


# ---- around events


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


# ---- the thread


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


# ---- the option


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
