"""What is kept of a recording: after a kill, within a quota, on whatever disk."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.recorder_kit import (
    AT,
    FPS,
    fill,
    numbered,
    plan,
    recorded,
    segments,
    write_part,
)
from edge.recording_kit import feed, recorder
from edgecam.recorder.encoder import OpenCVEncoder
from edgecam.recorder.recorder import Recorder

# -- kill -9


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
from edge.recording_kit import recorder
recorder(Path({str(tmp_path)!r})).close()
"""
    command = [sys.executable, "-c", script]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    first = recorder(tmp_path)
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert f"OutputError: Another edgecam records into {tmp_path}" in done.stderr
    first.close()
    subprocess.run(command, env=environ, check=True, timeout=60)


# -- the quota and the disk


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
