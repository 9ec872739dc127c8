"""`run` as a process of its own: what a shell, a pipe, a service manager and a full disk see."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.loop_kit import CLASSES, frames_in, make_bundle, make_video
from edgecam_calibration.build import build_engine

KEYS = ["frame", "captured_at", "age_ms", "skipped", "label", "confidence", "box", "top"]
WAIT_S = 60
PEAK_MIB = 160
FILES_MIB = 70

# What the command line does with the function, and a last line on stderr about the process itself.
DRIVER = r"""
import json, re, sys
from pathlib import Path
from edgecam import live
from edgecam.settings import RunSettings
from edgecam_engines.errors import EdgecamError
bundle, camera, record, options = json.loads(sys.argv[1])
code = 0
try:
    live.run(RunSettings(Path(bundle), (camera,), record=Path(record) if record else None, **options))
except KeyboardInterrupt:
    code = 130
except EdgecamError as error:
    print(error, file=sys.stderr)
    code = 1
heavy = sorted({"torch", "torchvision", "onnx", "matplotlib"} & set(sys.modules))
# Not ru_maxrss: Linux carries the parent's over, and pytest is large.
status = dict(re.findall(r"(\w+):\s*(\d+) kB", Path("/proc/self/status").read_text()))
peak_kib, file_kib = int(status["VmHWM"]), int(status["RssFile"])
print(json.dumps({"heavy": heavy, "peak_kib": peak_kib, "file_kib": file_kib}), file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "colours.edgecam")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "clip.mp4", frames=60)


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "long.mp4", frames=600, hw=(120, 160))


def start(
    bundle: Path, camera: object, record: Path | None = None, display: str | None = None, **options: Any
) -> "subprocess.Popen[str]":
    argument = json.dumps([str(bundle), str(camera), str(record) if record else None, options])
    environ = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    if display:
        environ["DISPLAY"] = display
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, argument],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=WAIT_S)
    return process.returncode, out, err


def test_a_run_over_ssh_writes_lines_and_a_recording(bundle: Path, tmp_path: Path) -> None:
    video = make_video(tmp_path / "hd.mp4", frames=40, hw=(720, 1280))
    path = tmp_path / "out" / "overlay.mp4"
    code, out, err = finish(start(bundle, video, path, json=True))
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["frame"] for line in lines] == list(range(40))
    assert all(list(line) == KEYS for line in lines)
    assert len(frames_in(path)) == 40
    about = json.loads(err.splitlines()[-1])
    assert about["heavy"] == []


def test_the_default_network_on_a_720p_video_stays_small_and_without_torch(
    run_folder: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "real.edgecam"
    build_engine(run_folder, bundle, precision="fp32")
    video = make_video(tmp_path / "hd.mp4", frames=40, hw=(720, 1280))
    code, out, err = finish(start(bundle, video, json=True))
    assert code == 0, err
    assert len(out.splitlines()) == 40
    about = json.loads(err.splitlines()[-1])
    assert about["heavy"] == []
    # Of the libraries' files the kernel maps 70 MiB, or 40 MiB more right after they were installed, when its
    # cache holds them in large pieces. What the process itself asks for must leave room for 70 within 160.
    assert (about["peak_kib"] - about["file_kib"]) / 1024 < PEAK_MIB - FILES_MIB


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_leaves_a_playable_file_and_nothing_else(
    number: signal.Signals, bundle: Path, long_video: Path, tmp_path: Path
) -> None:
    path = tmp_path / "overlay.mp4"
    process = start(bundle, long_video, path, json=True, realtime=True)
    assert process.stdout is not None
    seen = [process.stdout.readline() for _ in range(10)]
    process.send_signal(number)
    code, out, err = finish(process)
    lines = seen + out.splitlines()
    assert code == 130, err
    assert "Traceback" not in err
    assert f"{len(lines)} frames" in err
    assert 10 <= len(lines) < 600
    assert all(list(json.loads(line)) == KEYS for line in lines), "no line is cut in the middle"
    # A live recording holds frames so that it plays in real time; never fewer than lines.
    assert len(lines) <= len(frames_in(path)) <= len(lines) + 100
    assert [p.name for p in tmp_path.iterdir()] == ["overlay.mp4"]


def test_a_reader_that_goes_away_ends_the_run_quietly(bundle: Path, long_video: Path, tmp_path: Path) -> None:
    path = tmp_path / "overlay.mp4"
    process = start(bundle, long_video, path, json=True)
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["frame"] == 0
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(WAIT_S) == 0
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
    assert 1 <= len(frames_in(path)) < 600


def test_a_display_that_does_not_answer_costs_the_window_and_nothing_else(bundle: Path, video: Path) -> None:
    code, out, err = finish(start(bundle, video, display=":97", json=True, realtime=True))
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["frame"] == 59


@pytest.mark.skipif(Path("/dev/video97").exists(), reason="there is a camera 97 here")
def test_a_missing_camera_is_one_message_that_says_what_is_there(bundle: Path, tmp_path: Path) -> None:
    code, out, err = finish(start(bundle, "97", tmp_path / "overlay.mp4", json=True))
    assert (code, out) == (1, "")
    assert err.startswith("There is no camera /dev/video97.\n")
    assert "Here are:" in err or "no camera at all" in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_the_label_below_the_threshold_is_unknown(bundle: Path, video: Path) -> None:
    code, out, err = finish(start(bundle, video, json=True, max_frames=3, threshold=1.0))
    assert code == 0, err
    for line in map(json.loads, out.splitlines()):
        assert (line["label"], line["box"]) == ("unknown", None)
        assert line["top"][0]["label"] == CLASSES[0]


@pytest.fixture
def disk_size() -> str:
    return "1m"  # room for a few frames of video


def test_a_disk_that_fills_up_is_one_message_and_nothing_stays_on_it(
    bundle: Path, small_disk: Path, tmp_path: Path
) -> None:
    noisy = make_video(tmp_path / "noisy.mp4", frames=120, noisy=True)
    code, out, err = finish(start(bundle, noisy, small_disk / "overlay.mp4", json=True))
    assert code == 1
    assert "overlay.mp4 could not be saved: the disk is full." in err
    assert "Free some space" in err
    assert "Traceback" not in err
    assert 3 < len(out.splitlines()) < 120
    assert list(small_disk.iterdir()) == []


def test_lines_that_cannot_be_written_are_one_message(bundle: Path, video: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    argument = json.dumps([str(bundle), str(video), None, {"json": True}])
    with full.open("w") as nowhere:
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, argument],
            stdout=nowhere,
            stderr=subprocess.PIPE,
            text=True,
            timeout=WAIT_S,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    assert done.returncode == 1
    assert done.stderr.startswith("The JSON lines cannot be written: No space left on device.")
    assert "Traceback" not in done.stderr
