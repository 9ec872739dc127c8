"""Settings that cannot be meant, told at once and each with its place; and as a program."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.settings_kit import BUNDLE, refusal, written
from edgecam.config.check import check
from edgecam.config.merge import settings_of
from edgecam.config.read import SECRETS, read_settings
from edgecam.settings import RunSettings
from edgecam_engines.errors import SettingsError

# -- complaints


def test_an_unknown_key_is_told_with_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    words = refusal(tmp_path, BUNDLE + "\n# a comment: treshold = 1\ntreshold = 0.4\n")
    assert words.startswith(
        "edgecam.toml, line 4 (treshold): there is no such setting. Did you mean 'threshold'?"
    )
    assert "edgecam run --help" in words


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    words = refusal(tmp_path, 'bundle = 3\nfps = "fast"\nmqqt = "x"\n')
    assert [line.partition(":")[0] for line in words.splitlines()[:3]] == [
        "edgecam.toml, line 1 (bundle)",
        "edgecam.toml, line 2 (fps)",
        "edgecam.toml, line 3 (mqqt)",
    ]
    assert "it must be a number, as in fps = 5.0." in words
    words = refusal(tmp_path, BUNDLE + "fps = 0.0\nevery = 0\n")
    assert "line 2 (fps): 0.0 is not allowed. It must be a number above 0, as in fps = 5.0." in words
    assert "line 3 (every): 0 is not allowed." in words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("json = 1", "true or false"),
        ("threads = true", "a whole number"),
        ("every = 2.0", "a whole number"),
        ("threshold = true", "a number"),
        ("smooth = 3", "a text, in quotes"),
        ("record = []", "a path, in quotes"),
        ('record = ""', "a path, in quotes"),
        ("ignore = [1.5]", "a text, or a list of texts"),
        ("thresholds = 3", "a table of texts"),
        ("[[camera]]\nuri = 'x'", "a text, or a list of texts"),
    ],
)
def test_a_value_of_another_type_is_told_with_the_right_one(text: str, words: str, tmp_path: Path) -> None:
    told = refusal(tmp_path, BUNDLE + text)
    assert f"it must be {words}" in told
    assert f"as in {text.split(maxsplit=1)[0].strip('[]')}" in told
    assert "line 2" in told


def test_settings_that_slipped_under_a_table_are_explained(tmp_path: Path) -> None:
    words = refusal(tmp_path, BUNDLE + '[thresholds]\na = "0.5"\njson = true\n')
    assert "json is none; what stands under [thresholds] belongs to it" in words


def test_one_setting_in_two_spellings_is_refused(tmp_path: Path) -> None:
    assert "twice, as max-frames and as max_frames" in refusal(
        tmp_path, BUNDLE + "max-frames = 1\nmax_frames = 2"
    )


@pytest.mark.parametrize("key", [*SECRETS, "mqtt_password"])
def test_a_secret_is_refused_with_what_to_use_instead(key: str, tmp_path: Path) -> None:
    words = refusal(tmp_path, f'{BUNDLE}{key} = "hunter2"')
    assert "a secret does not belong in this file" in words
    assert "-file" in words
    assert "hunter2" not in words


def test_a_password_of_the_broker_is_refused_everywhere_and_never_repeated(tmp_path: Path) -> None:
    for told in (
        refusal(tmp_path, BUNDLE + 'mqtt = "mqtt://me:hunter2@broker"'),
        refusal(tmp_path, BUNDLE, mqtt="mqtt://me:hunter2@broker"),
    ):
        assert "with no password in it" in told
        assert "hunter2" not in told


def test_a_file_with_a_cameras_password_must_be_closed_to_others(tmp_path: Path) -> None:
    text = BUNDLE + 'camera = "rtsp://me:hunter2@10.0.0.7/stream"\n'
    words = refusal(tmp_path, text)
    assert f"chmod o-r {tmp_path / 'edgecam.toml'}" in words
    assert "hunter2" not in words
    (tmp_path / "edgecam.toml").chmod(0o640)
    found = settings_of({}, tmp_path / "edgecam.toml")
    assert found.camera == ("rtsp://me:hunter2@10.0.0.7/stream",)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"a = 1\nb = x", "line 2"), (b"\xff\xfe", "cannot be read"), (b"x = 1\n" * 200_000, "larger than")],
)
def test_a_file_that_is_no_toml_is_one_message(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "edgecam.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=words):
        read_settings(tmp_path / "edgecam.toml")


def test_a_file_that_is_not_there_says_how_one_is_begun(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"No such file(.|\n)*--print-config > none\.toml"):
        read_settings(tmp_path / "none.toml")


def test_without_a_bundle_it_is_asked_for(tmp_path: Path) -> None:
    assert "--bundle NAME.edgecam" in refusal(tmp_path, "fps = 3")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"events": True}, "--events: it means nothing without json"),
        ({"record_events": True}, "--record-events: it means nothing without record"),
        ({"record_events": True, "record": Path("a.mp4")}, "a.mp4 is one file. Name a folder"),
        ({"token_file": Path("t")}, "--token-file: it means nothing without serve"),
        ({"mqtt_password_file": Path("t")}, "without mqtt"),
        ({"mqtt_ca": Path("t"), "mqtt": "mqtt://h"}, "Write mqtts://"),
        ({"serve": "0.0.0.0:8080"}, "it needs a token"),
        ({"serve": "[::]:8080"}, "it needs a token"),
        ({"camera": ("0", "0")}, "each only once"),
        ({"camera": ()}, "at least one camera"),
        ({"camera": (" ",)}, "--camera: ' ' is not allowed"),
        ({"thresholds": {"a": "0.5/0.8"}}, "'a=0.5/0.8' is not allowed"),
        ({"alarm": ("a > 3/h", "a > many/h")}, "'a > many/h' is not allowed"),
        ({"fps": float("inf")}, "inf is not allowed"),
        ({"threshold": float("nan")}, "nan is not allowed"),
        ({"backend": "tensorrt-dla2"}, "'tensorrt-dla2' is not allowed. Did you mean 'tensorrt-dla"),
        ({"backend": "abacus"}, "'abacus' is not allowed. It must be one of onnxruntime, "),
        ({"log": "xml"}, "'xml' is not allowed"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_of({"bundle": Path("x"), **given}, None)
    assert words in str(caught.value)


def test_what_the_defaults_say_is_allowed() -> None:
    check(RunSettings(Path("x.edgecam")))


# -- as a program


def edgecam(*argv: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "edgecam", *map(str, argv)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_print_config_writes_what_holds_and_it_reads_back(tmp_path: Path) -> None:
    first = written(tmp_path, BUNDLE + 'fps = 5\nthresholds = { a = "0.8" }\n')
    (tmp_path / "elsewhere").mkdir()
    options = ["run", "--config", first, "--every", 3, "--tray", "tray", "--print-config"]
    done = edgecam(*options, cwd=tmp_path / "elsewhere")
    assert (done.returncode, done.stderr) == (0, "")
    second = tmp_path / "second.toml"
    second.write_text(done.stdout)
    found = settings_of({}, second)
    assert found == RunSettings(
        tmp_path / "line.edgecam",
        fps=5.0,
        thresholds={"a": "0.8"},
        every=3,
        tray=tmp_path / "elsewhere" / "tray",
    )


def test_a_file_to_begin_with_needs_nothing(tmp_path: Path) -> None:
    done = edgecam("run", "--print-config", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert settings_of({}, written(tmp_path, done.stdout)) == RunSettings(tmp_path / "NAME.edgecam")


def test_wrong_settings_are_exit_2_and_nothing_is_opened(tmp_path: Path) -> None:
    written(tmp_path, BUNDLE + "fps = -1\n")
    done = edgecam("run", "--config", "edgecam.toml", "--tray", "tray", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("edgecam.toml, line 2 (fps): -1.0 is not allowed.")
    assert [p.name for p in tmp_path.iterdir()] == ["edgecam.toml"]
