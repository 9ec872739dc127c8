"""Settings: one set of names, files that read back, the command line before the file."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import typer.main
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.settings_kit import BUNDLE, FIELDS, written
from edgecam.cli import app
from edgecam.commands.run import typed
from edgecam.config.about import ABOUT, key_of, option_of
from edgecam.config.check import NEEDS, VALID
from edgecam.config.kinds import WORDS, kinds, line_of, placed
from edgecam.config.merge import absolute, settings_of
from edgecam.config.write import as_toml
from edgecam.settings import RunSettings
from edgecam_engines.errors import SettingsError

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
