"""Sinks: files that are complete or not there, a window that never crashes, lines that end quietly."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edge.loop_kit import frames_in, scene
from edgecam.recorder.fitted import fitted
from edgecam.result import Result
from edgecam.sinks.notes import AT_LEAST_S, EVERY_S, Notes
from edgecam.sinks.recording import SPARE_BYTES, Recording
from edgecam.sinks.window import Window, display_named
from edgecam_engines.engine import Frame
from edgecam_engines.errors import OutputError

FPS = 20.0


def result(captured_at: float = 0.0, label: str = "mug", number: int = 0) -> Result:
    return Result(number, captured_at, 5.0, 0, label, 0.9, None, (), None)


def noise(seed: int, hw: tuple[int, int] = (240, 320)) -> Frame:
    return np.random.default_rng(seed).integers(0, 255, (*hw, 3), dtype=np.uint8)


def write_noise(recording: Recording, frames: int) -> None:
    for i in range(frames):
        recording.write(noise(i), result())


# ---- recording


def test_a_recording_appears_under_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "clip.mp4"
    recording = Recording(path, fps=FPS, live=False)
    for i in range(12):
        recording.write(scene(i % 3), result())
    assert not path.exists()
    recording.close()
    recording.close()
    played = frames_in(path)
    assert len(played) == 12
    assert np.abs(played[4].astype(int) - scene(1)).mean() < 8, "what is played is what was written"
    assert [p.name for p in path.parent.iterdir()] == ["clip.mp4"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_recording_replaces_an_older_one_only_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"older")
    recording = Recording(path, fps=FPS, live=False)
    recording.write(scene(0), result())
    assert path.read_bytes() == b"older"
    recording.close()
    assert len(frames_in(path)) == 1


def test_a_recording_without_frames_leaves_no_file(tmp_path: Path) -> None:
    Recording(tmp_path / "clip.mp4", fps=FPS, live=False).close()
    assert list(tmp_path.iterdir()) == []


def test_frames_of_other_sizes_are_fitted_into_the_first_ones(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    recording = Recording(path, fps=FPS, live=False)
    for hw in ((240, 320), (480, 640), (320, 240), (11, 999), (241, 321)):
        recording.write(np.full((*hw, 3), 200, np.uint8), result())
    recording.close()
    played = frames_in(path)
    assert [frame.shape for frame in played] == [(240, 320, 3)] * 5
    assert played[1].min() > 180, "the same proportions fill the frame"
    assert played[2][:, :60].max() < 30, "bars left and right of an upright photo"
    assert played[2][:, 80:240].min() > 170


@pytest.mark.parametrize("hw", [(1, 1), (15, 17), (241, 321), (16, 2001)])
def test_any_first_size_can_be_recorded(hw: tuple[int, int], tmp_path: Path) -> None:
    recording = Recording(tmp_path / "clip.mp4", fps=FPS, live=False)
    for _ in range(3):
        recording.write(np.full((*hw, 3), 90, np.uint8), result())
    recording.close()
    assert len(frames_in(tmp_path / "clip.mp4")) == 3


def test_fitting_keeps_the_proportions_and_the_middle() -> None:
    frame = np.zeros((100, 50, 3), np.uint8)
    frame[25:75, 12:37] = 255
    rows, columns = np.nonzero(fitted(frame, (400, 200))[:, :, 0] > 127)
    assert (rows.min(), rows.max() + 1) == pytest.approx((50, 150), abs=2)
    assert (columns.min(), columns.max() + 1) == pytest.approx((174, 224), abs=3)


def test_a_live_recording_plays_in_the_cameras_own_time(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    recording = Recording(path, fps=FPS, live=True)
    for i in range(21):  # ten results a second for two seconds
        recording.write(scene(0), result(captured_at=100 + i / 10))
    recording.close()
    assert len(frames_in(path)) == pytest.approx(2 * FPS + 1, abs=1)


def test_the_gap_of_a_lost_camera_is_cut_and_a_stepped_clock_does_no_harm(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "clip.mp4", fps=FPS, live=True)
    for captured_at in (100.0, 100.05, 4000.0, 50.0, 50.05):
        recording.write(scene(0), result(captured_at=captured_at))
    assert recording.frames <= 2 + FPS + 2
    recording.close()
    assert len(frames_in(tmp_path / "clip.mp4")) == recording.frames


@pytest.mark.parametrize("name", ["clip.avi", "clip", "folder.mp4"])
def test_a_name_that_cannot_be_recorded_to_is_refused_before_the_first_frame(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match=r"--record \S+\.mp4"):
        Recording(tmp_path / name, fps=FPS, live=False)


def test_a_folder_that_is_a_file_is_refused_before_the_first_frame(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="could not be saved"):
        Recording(tmp_path / "file" / "clip.mp4", fps=FPS, live=False)


@pytest.fixture
def disk_size() -> str:
    return "1m"  # room for a few frames of video


def test_a_disk_that_fills_up_is_an_error_and_nothing_is_left_on_it(small_disk: Path) -> None:
    recording = Recording(small_disk / "clip.mp4", fps=FPS, live=False)
    with pytest.raises(OutputError, match=r"the disk is full(.|\n)*Free some space"):
        write_noise(recording, 200)
    assert 3 < recording.frames < 200
    recording.close()
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_somebody_else_fills_meanwhile_is_noticed_at_the_end(small_disk: Path) -> None:
    recording = Recording(small_disk / "clip.mp4", fps=FPS, live=False)
    for i in range(4):
        recording.write(noise(i), result())
    (small_disk / "other").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    with pytest.raises(OutputError, match="the disk is full"):
        recording.close()
    assert [p.name for p in small_disk.iterdir()] == ["other"]


def test_a_disk_that_is_full_from_the_start_is_told_at_the_first_frame(small_disk: Path) -> None:
    (small_disk / "other").write_bytes(bytes(shutil.disk_usage(small_disk).free - SPARE_BYTES // 2))
    recording = Recording(small_disk / "clip.mp4", fps=FPS, live=False)
    with pytest.raises(OutputError, match="the disk is full"):
        recording.write(scene(0), result())
    assert [p.name for p in small_disk.iterdir()] == ["other"]


# ---- window


def test_a_display_is_named_by_x_or_by_wayland() -> None:
    assert not display_named({})
    assert not display_named({"DISPLAY": ""})
    assert display_named({"DISPLAY": ":0"})
    assert display_named({"WAYLAND_DISPLAY": "wayland-0"})


def wait_for(window: Window, said: list[str]) -> None:
    deadline = time.monotonic() + 20
    while not said and time.monotonic() < deadline:
        window.write(scene(0), result())
        time.sleep(0.02)


@pytest.mark.parametrize("trial", ["raise SystemExit(1)", "import os; os.abort()"])
def test_a_display_that_cannot_be_used_is_said_once_and_the_loop_goes_on(trial: str) -> None:
    said: list[str] = []
    window = Window(said.append, trial)
    wait_for(window, said)
    for _ in range(3):
        window.write(scene(0), result())
    window.close()
    window.close()
    assert said == ["The display cannot be used, so there is no window. Everything else goes on."]


def test_a_display_that_never_answers_does_not_hold_the_loop_up() -> None:
    window = Window(lambda words: None, "import time; time.sleep(60)")
    started = time.monotonic()
    window.write(scene(0), result())
    window.close()
    assert time.monotonic() - started < 5


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")
def test_a_window_shows_frames_on_a_real_display(tmp_path: Path) -> None:
    script = """
import sys, time
from edge.loop_kit import scene
from edge.test_sinks import result
from edgecam.sinks.window import TITLE, Window
import cv2
window = Window(lambda words: sys.exit(words))
while not window._usable:
    window.write(scene(0), result())
    time.sleep(0.02)
for _ in range(5):
    window.write(scene(1), result())
print(cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE))
window.close()
"""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as numbers:
            display = f":{numbers.readline().strip()}"
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "DISPLAY": display, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        server.terminate()
        server.wait()
    assert done.stdout.strip() == "1.0", done.stderr


# ---- notes


def test_notes_say_a_change_of_label_and_a_sign_of_life_and_no_more() -> None:
    now = [0.0]
    said: list[str] = []
    notes = Notes(said.append, lambda: now[0])
    labels = {5.0: "cup", 5.2: "mug", 9.0: "cup"}
    label = "mug"
    for step in range(300):
        now[0] = step / 10
        label = labels.get(now[0], label)
        notes.write(scene(0), result(label=label, number=step))
    frames = [int(line.split(":")[0].removeprefix("frame ")) for line in said]
    assert frames == [0, 50, 60, 90, 190, 290]
    assert EVERY_S == 1.0
    assert AT_LEAST_S == 10.0
