"""`edgecam devices`: what is printed, for people and for programs."""

import json
from pathlib import Path

import pytest

from edge.parts.recorded_camera import csi_sensor, webcam
from edgecam.commands import devices as command
from edgecam.commands.devices import devices, trial
from edgecam.sources.devices import Device
from edgecam.sources.v4l2 import ask
from edgecam_engines.errors import SourceError

FOUND = [
    Device(Path("/dev/video0"), "Desk camera", ask(-1, webcam()), always=Path("/dev/v4l/by-id/usb-desk")),
    Device(
        Path("/dev/video2"), "", None, "You may not use /dev/video2: it is not yours.\nJoin it:\n    sudo x"
    ),
    Device(Path("/dev/video3"), "imx219", ask(-1, csi_sensor())),
]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_devices", lambda: FOUND)


@pytest.mark.usefixtures("found")
def test_the_list_says_what_to_type_which_formats_there_are_and_what_is_in_the_way(
    capsys: pytest.CaptureFixture[str],
) -> None:
    devices(None, json=False)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "/dev/video0  Desk camera" in lines
    assert "--camera /dev/v4l/by-id/usb-desk    also when other cameras come and go" in lines
    assert "YUYV  1280x720@10  640x480@30/15" in lines
    assert "--camera csi://0    tegra-video, platform:tegra-capture-vi:1" in lines
    assert "You may not use /dev/video2: it is not yours." in lines


@pytest.mark.usefixtures("found")
def test_the_document_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    devices(None, json=True)
    listed = json.loads(capsys.readouterr().out)["devices"]
    assert [each["camera"] for each in listed] == ["/dev/video0", "/dev/video2", "csi://0"]
    assert listed[0]["formats"][0]["sizes"][1] == {"width": 640, "height": 480, "fps": [30.0, 15.0]}
    assert listed[1]["trouble"].startswith("You may not use /dev/video2")
    assert listed[2]["trouble"] is None


def test_a_machine_without_cameras_says_what_to_try(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_devices", list)
    devices(None, json=False)
    assert "edgecam devices rtsp://" in capsys.readouterr().out


def test_a_trial_says_what_a_camera_really_gives(capsys: pytest.CaptureFixture[str]) -> None:
    found = trial("fixed://?fps=200&width=320&height=96")
    assert (found["width"], found["height"], found["time_stamps"]) == (320, 96, True)
    assert 0 < found["measured_fps"] < 210
    devices("fixed://?fps=200", json=False)
    assert "fixed://?fps=200 works: 640x480" in capsys.readouterr().out
    with pytest.raises(SourceError, match="There is no camera /dev/video99"):
        devices("/dev/video99", json=True)
