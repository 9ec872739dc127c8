"""Recording by GStreamer in a process of its own: the same files, whichever encoder makes them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edge.loop_kit import frames_in
from edge.recorder_kit import AT, FPS, numbered, numbers_in, plan, recorded, segments
from edge.test_recording_kept import killed
from edgecam.recorder import gstreamer
from edgecam.recorder.boxes import content_of
from edgecam.recorder.encoder import EncoderFailed
from edgecam.recorder.gstreamer import GStreamerEncoder, opener, pipeline, works
from edgecam.recorder.recorder import Recorder
from edgecam_engines.engine import Frame

needs_gstreamer = pytest.mark.skipif(
    shutil.which(gstreamer.LAUNCH) is None or not works("x264enc"),
    reason="gst-launch-1.0 with x264enc is not installed",
)


def test_the_pipeline_of_a_jetson_encodes_in_hardware_and_writes_fragments() -> None:
    words = " ".join(pipeline("nvv4l2h264enc", Path("/rec/a b.part.ismv"), 30000 / 1001, (1280, 720)))
    assert words == (
        "gst-launch-1.0 -q fdsrc fd=0 blocksize=1382400 ! rawvideoparse format=i420 width=1280 height=720 "
        "framerate=30000/1001 ! nvvidconv ! video/x-raw(memory:NVMM),format=NV12 ! nvv4l2h264enc "
        "bitrate=2762038 iframeinterval=30 idrinterval=30 insert-sps-pps=true ! h264parse ! "
        "mp4mux fragment-duration=1000 ! filesink buffer-mode=2 location=/rec/a b.part.ismv"
    )


def test_an_encoder_without_its_hardware_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not works("nvv4l2h264enc"), "no test runs on a Jetson without its mark"
    assert gstreamer.hardware() is None
    monkeypatch.setenv("PATH", "")
    assert not works("x264enc")


@needs_gstreamer
@pytest.mark.parametrize("hw", [(96, 192), (97, 203), (240, 320)])
def test_what_it_records_is_what_was_shown(hw: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "with a space.part.ismv"
    encoder = GStreamerEncoder("x264enc", path, FPS, hw)
    for number in range(30):
        encoder.write(numbered(number, hw))
    encoder.close()
    encoder.close()
    assert numbers_in(path) == list(range(30))
    assert content_of(path).frames == 30
    assert content_of(path).length == path.stat().st_size
    shown = frames_in(path)[7].astype(int)
    top, left = (shown.shape[0] - hw[0]) // 2, (shown.shape[1] - hw[1]) // 2
    inside = shown[top : top + hw[0], left : left + hw[1]]
    assert np.abs(inside - numbered(7, hw)).mean() < 8


@needs_gstreamer
def test_segments_by_gstreamer_are_complete_and_in_order(tmp_path: Path) -> None:
    recording = Recorder(tmp_path, plan(segment_s=1.0), opener("x264enc"), print)
    for number in range(50):
        recording.frame(numbered(number), "cam", AT + number / FPS)
    recording.close()
    assert recorded(tmp_path) == list(range(50))
    assert len(segments(tmp_path)) == 3
    assert recording.lost == 0


@needs_gstreamer
def test_after_kill_9_the_encoders_process_closes_its_file_itself(tmp_path: Path) -> None:
    killed(tmp_path, "x264enc")
    (part,) = tmp_path.glob("*.part.ismv")
    deadline = time.monotonic() + 15
    while content_of(part).frames < 190:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    Recorder(tmp_path, plan(), opener("x264enc"), print).close()
    played = recorded(tmp_path)
    assert played == list(range(len(played)))


@needs_gstreamer
def test_after_kill_9_of_the_encoders_process_too_all_but_the_last_second_can_be_played(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cam_20231114T221320.000Z_000001.part.ismv"
    encoder = GStreamerEncoder("x264enc", path, FPS, (96, 192))
    for number in range(100):
        encoder.write(numbered(number))
    deadline = time.monotonic() + 15
    while content_of(path).frames < 80:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    encoder._process.kill()
    with pytest.raises(EncoderFailed):
        encoder.close()
    Recorder(tmp_path, plan(), opener("x264enc"), print).close()
    played = recorded(tmp_path)
    assert played == list(range(len(played)))
    assert len(played) >= 80


@needs_gstreamer
def test_an_encoder_that_dies_is_replaced_by_opencvs_and_that_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    opened: list[GStreamerEncoder] = []

    def open_encoder(path: Path, fps: float, hw: tuple[int, int]) -> GStreamerEncoder:
        opened.append(GStreamerEncoder("x264enc", path, fps, hw))
        return opened[-1]

    recording = Recorder(tmp_path, plan(), open_encoder, said.append)
    for number in range(80):
        if number == 20:
            opened[0]._process.send_signal(signal.SIGKILL)
            opened[0]._process.wait()
        recording.frame(numbered(number), "cam", AT + number / FPS)
    recording.close()
    assert said == ["The recording goes on with OpenCV's encoder: gst-launch-1.0 ended."]
    assert recorded(tmp_path)[-60:] == list(range(20, 80))
    assert len(recorded(tmp_path)) + recording.lost == 80, "what was in its hands is counted"


@needs_gstreamer
def test_an_encoder_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gstreamer, "STUCK_S", 0.3)
    encoder = GStreamerEncoder("x264enc", tmp_path / "a.part.ismv", FPS, (720, 1280))
    encoder.write(numbered(0, (720, 1280)))
    encoder._process.send_signal(signal.SIGSTOP)
    with pytest.raises(EncoderFailed, match="hangs"):
        write_often(encoder, numbered(0, (720, 1280)))
    with pytest.raises(EncoderFailed):
        encoder.close()


def write_often(encoder: GStreamerEncoder, frame: Frame) -> None:
    for _ in range(10):
        encoder.write(frame)


@needs_gstreamer
def test_ctrl_c_reaches_us_and_not_the_encoder(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from edge.recorder_kit import FPS, numbered
from edgecam.recorder.gstreamer import GStreamerEncoder
signal.signal(signal.SIGINT, lambda *_: None)
encoder = GStreamerEncoder("x264enc", Path(sys.argv[1]), FPS, (96, 192))
for number in range(60):
    if number == 30:
        os.killpg(0, signal.SIGINT)
    encoder.write(numbered(number))
encoder.close()
"""
    path = tmp_path / "a.part.ismv"
    subprocess.run(
        [sys.executable, "-c", script, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        timeout=60,
        start_new_session=True,
    )
    assert numbers_in(path) == list(range(60))
