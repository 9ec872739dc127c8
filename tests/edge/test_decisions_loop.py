"""Decisions in the real loop: what a video shows becomes events, alarms, lines and a tray."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.loop_kit import CLASSES, make_bundle, make_video, scene
from edgecam.live import run
from edgecam.settings import RunSettings
from edgecam_engines.photo import read_photo


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    bundle = make_bundle(tmp_path / "colours.edgecam")
    video = make_video(tmp_path / "thirds.mp4")
    return RunSettings(bundle=bundle, camera=(str(video),), window=False, json=True, events=True)


def told(capsys: pytest.CaptureFixture[str], kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if line["type"] == kind]


def test_each_thing_in_a_video_is_one_event(
    settings: RunSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    run(replace(settings, smooth="consensus:2/3"))
    events = [line for line in told(capsys, "event") if line["phase"] != "update"]
    assert [(e["label"], e["phase"]) for e in events] == [
        (label, phase) for label in CLASSES for phase in ("start", "end")
    ]
    assert [e["why"] for e in events if e["phase"] == "end"] == ["gone", "gone", "stopped"]
    assert [e["best"]["frame"] // 20 for e in events] == [0, 0, 1, 1, 2, 2]
    assert len({e["id"] for e in events}) == 3


def test_an_alarm_is_told_in_the_loop(settings: RunSettings, capsys: pytest.CaptureFixture[str]) -> None:
    run(replace(settings, alarm=("green thing > 1/day in 1h @ p<0.1", "red thing > 1/day")))
    [alarm] = told(capsys, "alarm")
    assert (alarm["label"], alarm["events"], alarm["firing"]) == ("green thing", 1, True)


def test_the_tray_keeps_undrawn_what_the_engine_saw(settings: RunSettings, tmp_path: Path) -> None:
    record = tmp_path / "overlay.mp4"
    run(replace(settings, tray=tmp_path / "tray", threshold=1.0, roi="0,0,0.5,1", record=record))
    [photo] = (tmp_path / "tray").glob("unlabelled/*.jpg")
    saved = read_photo(photo)
    assert saved.shape == (240, 160, 3)
    assert abs(saved.astype(int) - scene(0)[:, :160]).mean() < 9, "no overlay on it"
