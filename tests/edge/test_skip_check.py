"""Where an engine answers otherwise: commands refuse it, or take it with --skip-check and say so."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edge.loop_kit import CLASSES, colour_head, make_bundle, make_video, scene
from edgecam.cli import app
from edgecam_engines import checked
from edgecam_engines.bundle import open_bundle, write_manifest
from edgecam_engines.checked import Device
from edgecam_engines.errors import WrongAnswers
from edgecam_engines.fixed import FixedEngine
from edgecam_engines.geometry import fit_batch
from edgecam_engines.golden import Golden, answer, save_golden


def with_golden(path: Path, *, right: bool) -> Path:
    """A bundle with golden photos; unless `right`, their answers are those of other classes."""
    frames = fit_batch([scene(kind) for kind in (0, 1, 2)], (64, 64))
    bare = Golden(frames, np.arange(3), "default", {})
    said = answer(FixedEngine((64, 64), 8), colour_head(), bare)
    if not right:
        said = said._replace(logits=np.roll(said.logits, 1, axis=1))
    manifest = open_bundle(make_bundle(path)).manifest
    save_golden(replace(bare, answers={"models/fixed.json": said}), path)
    (path / "manifest.json").unlink()
    kept = {k: v for k, v in asdict(manifest).items() if k not in {"geometry", "files", "schema"}}
    write_manifest(path, kept)
    return path


@pytest.fixture(autouse=True)
def somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fixed back end has no device of its own."""
    here = Device("here", {"device": "a processor", "library": "a library"})
    monkeypatch.setattr(checked, "device_of", lambda *_: here)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for kind, name in enumerate(CLASSES):
        (tmp_path / "data" / name).mkdir(parents=True)
        assert cv2.imwrite(str(tmp_path / "data" / name / "a.png"), scene(kind))
    return tmp_path / "data"


def command(name: str, bundle: Path, tmp_path: Path, data: Path) -> list[str]:
    if name == "run":
        video = make_video(tmp_path / "clip.mp4", frames=6)
        return ["run", "--bundle", str(bundle), "--camera", str(video), "--no-window", "--json"]
    if name == "eval":
        return ["eval", str(bundle), str(data), "--json"]
    return ["bench", str(bundle), "--runs", "64", "--json"]


def noted(name: str, document: dict[str, Any]) -> bool:
    place = document["provenance"] if name == "bench" else document
    return bool(place.get("skip_check", False))


@pytest.mark.parametrize("name", ["run", "eval", "bench"])
def test_wrong_answers_are_refused_unless_the_check_is_skipped_which_is_noted(
    tmp_path: Path, data: Path, name: str
) -> None:
    bundle = with_golden(tmp_path / "x.edgecam", right=False)
    arguments = command(name, bundle, tmp_path, data)
    refused = CliRunner().invoke(app, arguments)
    assert isinstance(refused.exception, WrongAnswers)
    assert refused.stdout == ""
    taken = CliRunner().invoke(app, [*arguments, "--skip-check"])
    assert taken.exit_code == 0, taken.exception
    assert all(noted(name, json.loads(line)) for line in taken.stdout.splitlines())
    assert taken.stdout
    assert not (bundle / "plans").exists()
    if name == "run":
        assert "not checked here (--skip-check)" in taken.stderr


@pytest.mark.parametrize("name", ["run", "eval", "bench"])
def test_right_answers_are_remembered_and_nothing_is_noted(tmp_path: Path, data: Path, name: str) -> None:
    bundle = with_golden(tmp_path / "x.edgecam", right=True)
    done = CliRunner().invoke(app, command(name, bundle, tmp_path, data))
    assert done.exit_code == 0, done.exception
    assert not any(noted(name, json.loads(line)) for line in done.stdout.splitlines())
    assert (bundle / "plans" / "here" / "checked.json").is_file()
