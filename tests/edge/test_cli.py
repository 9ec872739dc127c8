"""The command line as a shell sees it: exit codes, one message, one document, nothing half-written."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import pytest
import typer

from edge.loop_kit import CLASSES, make_bundle, scene
from edgecam import boundary
from edgecam_engines.bundle import MANIFEST
from edgecam_engines.errors import SourceError

COMMANDS = (
    "train",
    "build-engine",
    "lint",
    "eval",
    "bench",
    "run",
    "devices",
    "export",
    "teach",
    "doctor",
    "demo",
    "data",
)
HEAVY = ("torch", "torchvision", "cv2", "onnxruntime", "onnx", "matplotlib", "numpy")
WAIT_S = 240


class Told(NamedTuple):
    code: int
    out: str
    err: str


def environment(state: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    own = {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "XDG_STATE_HOME": str(state),
        "XDG_CACHE_HOME": str(state),
    }
    return {**kept, **own, "COLUMNS": "100"}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the process keeps logs and caches, so that no test touches the user's."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos a class that the fixed bundle names right."""
    folder = tmp_path_factory.mktemp("photos")
    for kind, name in enumerate(CLASSES):
        for number in range(2):
            (folder / name).mkdir(exist_ok=True)
            assert cv2.imwrite(str(folder / name / f"{number}.png"), scene(kind, (60 + number, 80)))
    return folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound bundle for tests that do not change it."""
    return make_bundle(tmp_path_factory.mktemp("bundle") / "sound.edgecam")


def start(state: Path, *argv: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "edgecam", *map(str, argv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(state),
    )


def edgecam(state: Path, *argv: object) -> Told:
    process = start(state, *argv)
    out, err = process.communicate(timeout=WAIT_S)
    return Told(process.returncode, out, err)


def refused(told: Told, *words: str) -> None:
    """A known error: exit 1, a message that says all of this, nothing else."""
    assert told.code == 1, told
    assert told.out == ""
    assert "Traceback" not in told.err
    for word in words:
        assert word in told.err


# -- help and usage


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_there_and_imports_nothing_heavy(state: Path, command: str) -> None:
    code = (
        "import sys\n"
        "from edgecam.cli import main\n"
        "try:\n    main()\n"
        f"finally:\n    print('loaded', sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    argv = [sys.executable, "-c", code, *([command] if command else []), "--help"]
    done = subprocess.run(
        argv, capture_output=True, text=True, env=environment(state), check=False, timeout=WAIT_S
    )
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout
    assert "--help" in done.stdout
    if not command:
        assert all(name in done.stdout for name in COMMANDS)
    assert done.stderr == "loaded []\n"


def test_the_console_script_is_the_same_program(state: Path) -> None:
    script = Path(sys.executable).with_name("edgecam")
    if not script.exists():
        pytest.skip("edgecam is not installed beside this Python")
    done = subprocess.run(
        [script, "--help"], capture_output=True, text=True, env=environment(state), check=False
    )
    assert done.returncode == 0
    assert "build-engine" in done.stdout


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "Usage:"),
        (["nonsense"], "No such command"),
        (["bench"], "Missing argument"),
        (["build-engine", "run"], "--out"),
        (["bench", "x.edgecam", "--runs", "63"], "--runs"),
        (["bench", "x.edgecam", "--runs", "many"], "--runs"),
        (["bench", "x.edgecam", "y.edgecam"], "one bundle"),
        (["bench", "compare", "a.json"], "two results"),
        (["bench", "x.edgecam", "--against", "y", "--csv", "z.csv"], "write --out alone"),
        (["bench", "x.edgecam", "--scenario", "guess"], "--scenario"),
        (["run", "--bundle", "x.edgecam", "--threshold", "1.5"], "--threshold"),
        (["eval", "x.edgecam", "data", "--no-such-option"], "--no-such-option"),
        (["build-engine", "run", "--out", "x.edgecam", "--min-cam-iou", "2"], "--min-cam-iou"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_2_and_names_what_is_wrong(state: Path, argv: list[str], words: str) -> None:
    told = edgecam(state, *argv)
    assert told.code == 2, told
    assert told.out == ""
    assert words in told.err
    assert "Traceback" not in told.err
    assert "did not expect" not in told.err


def test_a_shell_completes_commands_and_options(state: Path) -> None:
    def completed(words: str) -> set[str]:
        asked = {
            "_EDGECAM_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        code = "import sys\nsys.argv[0] = 'edgecam'\nfrom edgecam.cli import main\nmain()"
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True, text=True, check=False, env={**environment(state), **asked}, timeout=WAIT_S,
        )  # fmt: skip
        assert done.stderr == ""
        return set(done.stdout.split())

    assert completed("edgecam de") == {"demo", "devices"}
    assert completed("edgecam run --thr") == {"--threads", "--threshold", "--thresholds"}
    assert "tensorrt-dla0" in completed("edgecam run --backend tens")


# -- documents that scripts read


def document(told: Told) -> dict[str, Any]:
    assert told.code == 0, told.err
    (line,) = told.out.splitlines()
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def test_eval_prints_exactly_the_stable_document(state: Path, sound: Path, photos: Path) -> None:
    found = document(edgecam(state, "eval", sound, photos, "--json"))
    assert list(found) == [
        "n", "top1", "top1_ci95", "macro_f1", "ece", "per_class", "engine", "localization",
        "operating_point", "macro", "calibration", "per_class_ci95", "confusion", "curves", "undefined",
        "unreadable", "against",
    ]  # fmt: skip
    assert (found["n"], found["top1"], found["localization"]) == (6, 1.0, None)
    for score in found["per_class"]:
        assert list(score) == ["name", "precision", "recall", "f1", "fpr", "support"]


def test_bench_prints_exactly_the_stable_document(state: Path, sound: Path) -> None:
    found = document(edgecam(state, "bench", sound, "--runs", 64, "--json"))
    assert list(found) == [
        "scenario", "engine", "runs", "latency_ms", "stages_ms", "throughput_per_s", "provenance",
        "valid", "invalid", "mlperf", "frames_per_query", "statistics", "cpu_ms", "stages",
        "stages_left_out", "bound", "accuracy", "warm_up", "open_loop_by_replay", "order",
    ]  # fmt: skip
    assert list(found["latency_ms"]) == ["p50", "p90", "p95", "p99"]
    assert list(found["stages_ms"]) == ["prepare", "infer", "head", "overlay", "publish"]
    assert found["runs"] == 64


def test_build_engine_prints_its_document_and_leaves_a_bundle_that_works(
    state: Path, run_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.edgecam"
    found = document(edgecam(state, "build-engine", run_folder, "--out", out, "--json"))
    assert {"chosen", "candidates"} <= set(found)
    assert found["chosen"] in {"fp32", "fp16", "int8"}
    keys = [
        "precision", "backend", "passed", "reasons", "top1", "agreement", "cam_iou", "cam_iou_p10",
        "latency_ms",
    ]  # fmt: skip
    for candidate in found["candidates"]:
        assert set(keys) <= set(candidate)
        assert candidate["passed"] is not bool(candidate["reasons"])
    assert [p.name for p in tmp_path.iterdir()] == ["x.edgecam"]
    scores = document(edgecam(state, "eval", out, run_folder.parent / "data", "--json"))
    assert scores["n"] == 60
    assert scores["top1"] >= 0.97
    assert scores["engine"].endswith(found["chosen"])


# -- wrong input


def test_a_bundle_with_one_flipped_byte_is_refused_by_every_command(state: Path, fixed_bundle: Path) -> None:
    file = fixed_bundle / "heads" / "default.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    for argv in (
        ["bench", fixed_bundle],
        ["eval", fixed_bundle, fixed_bundle],
        ["run", "--bundle", fixed_bundle],
    ):
        refused(edgecam(state, *argv), "heads/default.safetensors", "was changed", "edgecam build-engine")


def test_a_bundle_of_a_later_schema_says_what_to_type(state: Path, fixed_bundle: Path) -> None:
    (fixed_bundle / MANIFEST).write_text('{"schema": 2, "edgecam": "9.9.9"}')
    told = edgecam(state, "bench", fixed_bundle)
    refused(told, "schema 2", "edgecam 9.9.9", "pip install --upgrade edgecam")


def test_a_bundle_that_is_not_there_says_how_one_is_made(state: Path, tmp_path: Path) -> None:
    refused(edgecam(state, "bench", tmp_path / "no.edgecam"), "does not exist", "edgecam build-engine RUN")


@pytest.mark.skipif(Path("/dev/video97").exists(), reason="there is a camera 97 here")
def test_a_camera_that_is_not_there_leaves_no_recording(state: Path, sound: Path, tmp_path: Path) -> None:
    argv = ("run", "--bundle", sound, "--camera", 97, "--record", tmp_path / "out.mp4")
    refused(edgecam(state, *argv), "There is no camera /dev/video97")
    assert list(tmp_path.iterdir()) == []


def test_photos_of_a_class_that_the_bundle_does_not_know_are_named(
    state: Path, sound: Path, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(photos / CLASSES[0], tmp_path / "data" / "cyan thing")
    shutil.copytree(photos / CLASSES[1], tmp_path / "data" / CLASSES[1])
    refused(edgecam(state, "eval", sound, tmp_path / "data"), "cyan thing", "does not know", CLASSES[0])


def test_one_class_is_too_few_to_train_and_leaves_no_run(state: Path, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    shutil.copytree(photos / CLASSES[0], tmp_path / "data" / CLASSES[0])
    told = edgecam(state, "train", tmp_path / "data", "--out", tmp_path / "run")
    refused(told, f"one class folder ({CLASSES[0]})", "at least two")
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_none_says_how_to_get_one(state: Path, tmp_path: Path) -> None:
    told = edgecam(state, "build-engine", tmp_path, "--out", tmp_path / "x.edgecam")
    refused(told, "not a finished training run", "edgecam train DATA")
    assert list(tmp_path.iterdir()) == []


def test_int8_by_name_that_fails_the_gate_is_1_and_leaves_nothing(
    state: Path, run_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.edgecam"
    told = edgecam(
        state,
        "build-engine",
        run_folder,
        "--out",
        out,
        "--precision",
        "int8",
        "--min-cam-iou",
        0.9999,
        "--json",
    )
    refused(told, "int8 was asked for and does not pass", "less than 0.9999", "--precision auto")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_and_leaves_nothing(state: Path, run_folder: Path, small_disk: Path) -> None:
    told = edgecam(state, "build-engine", run_folder, "--out", small_disk / "x.edgecam")
    refused(told, "No space left on device", "Free some space")
    assert list(small_disk.iterdir()) == []


def test_a_document_that_finds_no_room_is_told(state: Path, sound: Path, photos: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edgecam", "eval", sound, photos, "--json"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment(state),
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("The disk is full.\nFree some space")


def test_a_reader_that_has_gone_is_no_error(state: Path, sound: Path, photos: Path) -> None:
    process = start(state, "eval", sound, photos, "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(WAIT_S) == 0
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


# -- interrupted


def wait_for(process: "subprocess.Popen[str]", there: Any) -> None:
    """Until `there` says so; the test fails if the process ends before."""
    for _ in range(WAIT_S * 50):
        assert process.poll() is None, "it ended before it could be interrupted"
        if there():
            return
        time.sleep(0.02)
    pytest.fail("it never got so far")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_building_is_130_and_leaves_the_old_bundle_alone(
    state: Path, run_folder: Path, fixed_bundle: Path, number: signal.Signals
) -> None:
    before = (fixed_bundle / MANIFEST).read_bytes()
    process = start(state, "build-engine", run_folder, "--out", fixed_bundle)
    wait_for(process, lambda: list(fixed_bundle.parent.glob(".*.building/models/fp16.onnx")))
    process.send_signal(number)
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1] == "Interrupted."
    assert "Traceback" not in err
    assert (fixed_bundle / MANIFEST).read_bytes() == before
    assert [p.name for p in fixed_bundle.parent.iterdir()] == [fixed_bundle.name]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system has no /proc")
def test_a_bench_that_is_interrupted_prints_no_half_result(state: Path, sound: Path) -> None:
    process = start(state, "bench", sound, "--runs", 10_000_000, "--json")
    opencv = Path(f"/proc/{process.pid}/maps")
    wait_for(process, lambda: "cv2" in opencv.read_text())
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130, err
    assert out == ""
    assert "Interrupted." in err
    assert "Traceback" not in err


# -- what nobody expected


def test_an_unexpected_error_is_3_and_names_the_log_that_has_the_rest(tmp_path: Path) -> None:
    code = (
        "import edgecam.commands.doctor as broken\n"
        "def doctor(**_): raise RuntimeError('a bolt is loose')\n"
        "broken.doctor = doctor\n"
        "from edgecam.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor"],
        capture_output=True, text=True, check=False, env=environment(tmp_path), timeout=WAIT_S,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    first, second = done.stderr.splitlines()
    assert first == "edgecam did not expect this: RuntimeError: a bolt is loose"
    (log,) = (tmp_path / "edgecam").iterdir()
    assert str(log) in second
    assert "Traceback" in log.read_text()
    assert "a bolt is loose" in log.read_text()


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user without a home, as in some containers."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    return


def code_of(error: BaseException) -> int:
    def fail() -> None:
        raise error

    return boundary.code_of(fail)


def test_without_a_home_the_details_are_on_stderr(nowhere: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(RuntimeError("a bolt is loose")) == 3
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert told.endswith("edgecam did not expect this: RuntimeError: a bolt is loose\n")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (SourceError("There is no camera.\nPlug one in."), 1, "There is no camera.\nPlug one in.\n"),
        (OSError(errno.ENOSPC, "No space left on device", "a.mp4"), 1, "a.mp4 could not be written"),
        (OSError(errno.ENOSPC, "No space left", "a", None, "copy.jpg"), 1, "copy.jpg could not be written"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
        (typer.Abort(), 130, "Interrupted.\n"),
        (typer.Exit(7), 7, ""),
        (typer.BadParameter("That is no number."), 2, "That is no number."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_every_kind_of_error_has_its_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, words: str
) -> None:
    assert code_of(error) == code
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""


@pytest.mark.parametrize("error", [SourceError("It broke."), RuntimeError("SystemError in a library")])
def test_an_error_that_an_interrupt_caused_is_an_interrupt(
    capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    error.__context__ = ValueError("between")
    error.__context__.__cause__ = KeyboardInterrupt()
    assert code_of(error) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (1, 1)])
def test_what_the_command_returns_is_the_code(result: object, code: int) -> None:
    assert boundary.code_of(lambda: result) == code
