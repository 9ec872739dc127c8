"""Settings: one set of names, a file that reads back as it was written, and complaints that help."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from hypothesis import assume, given
from hypothesis import strategies as st

from edgecam.cli import app
from edgecam.commands.run import typed
from edgecam.config.about import ABOUT, key_of, option_of
from edgecam.config.check import NEEDS, VALID, check
from edgecam.config.kinds import WORDS, kinds, line_of, placed
from edgecam.config.merge import absolute, settings_of
from edgecam.config.read import SECRETS, read_settings
from edgecam.config.write import as_toml
from edgecam.settings import RunSettings
from edgecam_engines.errors import SettingsError

FIELDS = {field.name: field for field in dataclasses.fields(RunSettings)}
BUNDLE = 'bundle = "line.edgecam"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "edgecam.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str, **given: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        settings_of(given, written(folder, text))
    return str(caught.value)


# -- one set of names


def parameters() -> dict[str, Any]:
    command = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    return {p.name: p for p in command.params if p.name not in {"config", "print_config", "help"}}


def test_options_keys_and_fields_are_one_set_of_names() -> None:
    assert set(parameters()) == set(FIELDS) == set(ABOUT) == set(kinds())
    assert {parameters()[name].opts[0] for name in FIELDS} == set(map(option_of, FIELDS))
    assert set(VALID) | set(NEEDS) | set(NEEDS.values()) <= set(FIELDS)
    assert set(kinds().values()) == set(WORDS)


def test_options_default_to_what_the_fields_default_to() -> None:
    for name, parameter in parameters().items():
        if name == "bundle":
            assert parameter.default is None
            continue
        field = FIELDS[name]
        default = field.default if field.default is not dataclasses.MISSING else field.default_factory()
        shown = parameter.default
        assert typed({name: shown})[name] == default if isinstance(shown, list) else shown == default, name


def test_every_setting_that_is_on_or_off_can_be_switched_back_on_the_command_line() -> None:
    for name, parameter in parameters().items():
        assert (kinds()[name] is bool) == bool(parameter.secondary_opts), name


@pytest.mark.parametrize("name", FIELDS)
def test_the_example_of_every_setting_is_one_that_is_taken(name: str, tmp_path: Path) -> None:
    lines = [f"{key_of(n)} = {ABOUT[n].example}" for n in {"bundle", name, *needed(name)}]
    found = settings_of({}, written(tmp_path, "\n".join(lines)))
    assert getattr(found, name) is not None
    assert ABOUT[name].help.endswith(".")
    assert "'" not in name


def needed(name: str) -> list[str]:
    return [NEEDS[name]] if name in NEEDS else []


# -- a file that reads back

WORD = st.text(min_size=1, max_size=12).filter(lambda text: bool(text.strip()))
SHARE = st.floats(0, 1)
SIZE = st.floats(1e-6, 1e9)
COUNT = st.integers(1, 10**9)
PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).map(Path)


@st.composite
def sound(draw: st.DrawFn) -> RunSettings:
    """Any settings that can be meant."""
    on = draw(SHARE)
    served = draw(st.booleans())
    json, recorded = draw(st.booleans()), draw(st.none() | PATHS.map(lambda p: p / "folder"))
    broker = draw(st.none() | st.sampled_from(["mqtts://u@h:1/p", "mqtts://h", "mqtts://[::1]/a/b"]))
    return RunSettings(
        bundle=draw(PATHS),
        camera=tuple(draw(st.lists(WORD, min_size=1, max_size=3, unique=True))),
        head=draw(st.none() | WORD),
        backend=draw(st.none() | st.sampled_from(["onnxruntime", "tensorrt-dla1"])),
        threads=draw(COUNT),
        skip_check=draw(st.booleans()),
        fps=draw(st.none() | SIZE),
        every=draw(COUNT),
        roi=draw(st.none() | st.sampled_from(["0,0,1,1", "10,20,300,400", "0.25,0,0.5,1"])),
        on_motion=draw(st.booleans()),
        realtime=draw(st.booleans()),
        max_frames=draw(st.none() | COUNT),
        threshold=draw(SHARE),
        thresholds=draw(
            st.dictionaries(WORD, st.sampled_from([f"{on:.3f}", f"{on:.3f}/{on / 2:.3f}"]), max_size=3)
        ),
        smooth=draw(st.sampled_from(["none", "ema:0.3", "consensus:3/5"])),
        event_after=draw(COUNT),
        event_end_s=draw(st.floats(0, 1e6)),
        ignore=tuple(draw(st.lists(WORD, max_size=2))),
        alarm=tuple(draw(st.lists(st.sampled_from(["a > 3/h", "b c > 1e-1/day @ p<1e-5"]), max_size=2))),
        window=draw(st.none() | st.booleans()),
        json=json,
        events=json and draw(st.booleans()),
        record=recorded,
        segment_s=draw(SIZE),
        pre_roll_s=draw(st.floats(0, 1e6)),
        record_events=recorded is not None and draw(st.booleans()),
        record_quota_mb=draw(SIZE),
        serve=draw(st.sampled_from(["0.0.0.0:80", "[::1]:0", "localhost:65535"])) if served else None,
        token_file=draw(PATHS) if served else None,
        mqtt=broker,
        mqtt_password_file=draw(st.none() | PATHS) if broker else None,
        mqtt_ca=draw(st.none() | PATHS) if broker else None,
        mqtt_discovery=draw(st.booleans()),
        tray=draw(st.none() | PATHS),
        tray_quota_mb=draw(SIZE),
        log=draw(st.sampled_from(["text", "json"])),
    )


@given(settings=sound())
def test_settings_that_are_written_read_back_as_the_same(
    settings: RunSettings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = absolute(settings, Path("/a folder/another"))
    assume(len(set(settings.camera)) == len(settings.camera))
    path = tmp_path_factory.getbasetemp() / "written.toml"
    path.touch(mode=0o600)
    path.write_text(as_toml(settings), encoding="utf-8", newline="")
    assert settings_of({}, path) == settings


def test_what_is_written_names_every_setting_with_its_meaning() -> None:
    text = as_toml(RunSettings(Path("/line.edgecam")))
    for name, about in ABOUT.items():
        assert f"# {about.help}\n" in text
        assert line_of(key_of(name), text.replace("\n# ", "\n")) is not None
    assert "\n# fps = 5.0\n" in text, "what was not asked for is there as an example"


@pytest.mark.parametrize("spelling", ["max-frames", "max_frames"])
def test_a_key_may_be_written_with_dashes_or_underscores(spelling: str, tmp_path: Path) -> None:
    assert settings_of({}, written(tmp_path, f"{BUNDLE}{spelling} = 7")).max_frames == 7


def test_the_marks_of_other_systems_editors_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "edgecam.toml").write_bytes(b'\xef\xbb\xbfbundle = "x"\r\nfps = 5\r\n')
    assert settings_of({}, tmp_path / "edgecam.toml").fps == 5.0


def test_one_camera_needs_no_list_and_may_be_a_number(tmp_path: Path) -> None:
    assert settings_of({}, written(tmp_path, BUNDLE + "camera = 2")).camera == ("2",)
    assert settings_of({}, written(tmp_path, BUNDLE + 'camera = "csi://0"')).camera == ("csi://0",)


def test_thresholds_are_a_table_and_may_be_numbers(tmp_path: Path) -> None:
    text = BUNDLE + '[thresholds]\ndefective = "0.8/0.6"\n"not sure" = 0.25\n'
    found = settings_of({}, written(tmp_path, text))
    assert found.thresholds == {"defective": "0.8/0.6", "not sure": "0.25"}


def test_relative_paths_start_at_the_folder_of_the_file_and_not_at_the_working_one(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    text = (
        BUNDLE
        + 'camera = ["belt.mp4?loop=1", "csi://0", "/dev/video1", "gst:videotestsrc"]\ntray = "../tray"'
    )
    found = settings_of({}, written(tmp_path / "etc", text))
    assert found.bundle == tmp_path / "etc" / "line.edgecam"
    assert found.tray == tmp_path / "etc" / ".." / "tray"
    belt = f"{tmp_path}/etc/belt.mp4?loop=1"
    assert found.camera == (belt, "csi://0", "/dev/video1", "gst:videotestsrc")


@given(uri=st.text())
def test_a_camera_that_was_placed_stays_where_it_is(uri: str) -> None:
    once = placed(uri, Path("/somewhere"))
    assert placed(once, Path("/elsewhere")) == once


# -- the command line goes before the file


def test_options_go_before_the_file_and_the_file_before_defaults(tmp_path: Path) -> None:
    path = written(tmp_path, BUNDLE + 'fps = 5\nevery = 2\ncamera = ["a.mp4", "b.mp4"]\njson = true\n')
    found = settings_of({"fps": 9.0, "camera": ("0",), "json": False}, path)
    assert (found.fps, found.every, found.camera, found.json) == (9.0, 2, ("0",), False)
    assert found.threshold == RunSettings(Path()).threshold
    assert found.bundle == tmp_path / "line.edgecam"


def test_thresholds_on_the_command_line_are_class_equals_levels_and_a_class_may_hold_an_equals_sign() -> None:
    assert typed({"thresholds": ["a=b=0.8/0.6", "c=0.5"]}) == {"thresholds": {"a=b": "0.8/0.6", "c": "0.5"}}
    with pytest.raises(SettingsError, match=r"'0\.8' says no class"):
        typed({"thresholds": ["0.8"]})


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
