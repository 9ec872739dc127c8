"""Cameras of Linux: what they say of themselves, what is chosen from it, and why one cannot be used."""

import errno
import os
from pathlib import Path

import pytest

from edge.parts.recorded_camera import Recorded, csi_sensor, metadata_node, stepwise, webcam
from edgecam.sources import camera, v4l2
from edgecam.sources.camera import driver_stamp, open_camera
from edgecam.sources.camera_format import Wish, settled, unlike
from edgecam.sources.devices import Device, cameras_here, find_devices, holders, look_at, nodes, uris, way_in
from edgecam_engines.errors import SourceError

VIDEO = Path("/dev/video0")


def unheard(words: str) -> None:
    raise AssertionError(f"nothing was to be said, but: {words}")


def machine(tmp_path: Path, *names: str) -> tuple[Path, Path]:
    dev, sysfs = tmp_path / "dev", tmp_path / "sys"
    dev.mkdir()
    sysfs.mkdir()
    for name in names:
        (dev / name).touch()
    return dev, sysfs


# ---- the kernel's questions


def test_the_requests_have_the_numbers_of_the_kernels_headers() -> None:
    assert v4l2.QUERYCAP == 0x80685600
    assert v4l2.ENUM_FMT == 0xC0405602
    assert v4l2.ENUM_FRAMESIZES == 0xC02C564A
    assert v4l2.ENUM_FRAMEINTERVALS == 0xC034564B


def test_a_webcams_answers_are_read_and_cannot_command_a_terminal() -> None:
    card = v4l2.ask(-1, webcam())
    assert (card.model, card.driver, card.bus) == ("HD Webcam[31m", "uvcvideo", "usb-0000:00:14.0-1")
    assert card.captures
    assert [each.code for each in card.formats] == ["YUYV", "MJPG"]
    assert card.formats[0].modes == (v4l2.Mode(1280, 720, (10.0,)), v4l2.Mode(640, 480, (30.0, 15.0)))
    assert card.formats[1].modes[0] == v4l2.Mode(1280, 720, (30.0,))


def test_a_driver_that_knows_no_rates_and_any_size_is_understood() -> None:
    (only,) = v4l2.ask(-1, stepwise()).formats
    assert only.modes == (v4l2.Mode(8192, 4096, ()), v4l2.Mode(2, 2, ()))


def test_a_driver_that_never_says_no_more_is_stopped() -> None:
    class Endless(Recorded):
        def __call__(self, descriptor: int, request: int, question: bytearray) -> int:
            if request != v4l2.QUERYCAP:
                question[:4] = bytes(4)  # always the first one
            return super().__call__(descriptor, request, question)

    assert len(v4l2.ask(-1, Endless(stepwise().table)).formats) == v4l2.MOST


def test_what_is_no_video_device_is_refused_by_the_kernel() -> None:
    with Path(os.devnull).open("rb") as file, pytest.raises(OSError, match="Inappropriate ioctl"):
        v4l2.ask(file.fileno())


# ---- finding


def test_devices_come_in_the_order_of_their_numbers_without_metadata_nodes(
    tmp_path: Path,
) -> None:
    dev, sysfs = machine(tmp_path, "video10", "video2", "video0", "video-notes")
    (dev / "v4l" / "by-id").mkdir(parents=True)
    (dev / "v4l" / "by-id" / "usb-HD_Webcam-index0").symlink_to("../../video2")
    (sysfs / "video2").mkdir()
    (sysfs / "video2" / "name").write_text("Desk camera\n")
    assert [path.name for path in nodes(dev)] == ["video0", "video2", "video10"]
    answers = iter([metadata_node(), webcam(), stepwise()])
    current = Recorded({})

    def ioctl(descriptor: int, request: int, question: bytearray) -> int:
        nonlocal current
        current = next(answers) if request == v4l2.QUERYCAP else current
        return current(descriptor, request, question)

    found = find_devices(dev, sysfs, ioctl)
    assert [device.path.name for device in found] == ["video2", "video10"]
    assert [device.name for device in found] == ["Desk camera", "Dummy video device"]
    assert found[0].always == dev / "v4l" / "by-id" / "usb-HD_Webcam-index0"
    assert found[1].always is None


def test_a_node_that_cannot_be_asked_is_listed_with_its_trouble(tmp_path: Path) -> None:
    dev, sysfs = machine(tmp_path, "video0")
    (device,) = find_devices(dev, sysfs)
    assert device.card is None
    assert "does not answer as a camera: Inappropriate ioctl" in device.trouble


def test_csi_sensors_are_numbered_among_themselves() -> None:
    cards = [v4l2.ask(-1, recorded()) for recorded in (webcam, csi_sensor, stepwise, csi_sensor)]
    found = [Device(Path(f"/dev/video{i}"), "", card) for i, card in enumerate(cards)]
    assert uris(found) == ["/dev/video0", "csi://0", "/dev/video2", "csi://1"]


def test_a_machine_whose_nodes_are_all_metadata_says_so(tmp_path: Path) -> None:
    dev, sysfs = machine(tmp_path, "video0")
    assert "None of this machine's /dev/video* is a camera" in cameras_here(dev, sysfs, metadata_node())


# ---- what stands in the way


@pytest.mark.parametrize(
    ("group", "mode", "joined", "words"),
    [
        ("video", 0o20660, False, "belongs to the group video, and you are not in it"),
        ("cameras", 0o20660, False, "sudo usermod -aG cameras alice"),
        ("video", 0o20660, True, "you joined the group video after this session began"),
        ("video", 0o20640, False, "mode crw-r-----, so joining a group is no help"),
        ("root", 0o20660, False, "/etc/udev/rules.d/"),
    ],
)
def test_the_way_to_a_device_depends_on_its_real_group_and_mode(
    group: str, mode: int, joined: bool, words: str
) -> None:
    assert words in way_in(VIDEO, group, mode, "alice", joined)


def test_whoever_holds_a_device_is_named(tmp_path: Path) -> None:
    proc, device = tmp_path / "proc", tmp_path / "video0"
    device.touch()
    for process, name, target in (("41", "cheese", device), ("42", "bash", tmp_path / "other")):
        (proc / process / "fd").mkdir(parents=True)
        (proc / process / "comm").write_text(f"{name}\n")
        (proc / process / "fd" / "7").symlink_to(target)
    (proc / "43").mkdir()  # another user's: nothing to see
    assert holders(device, proc) == ["cheese (process 41)"]


def test_a_busy_camera_names_its_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dev, sysfs = machine(tmp_path, "video0")
    monkeypatch.setattr(camera, "holders", lambda path: ["cheese (process 41)"])
    with pytest.raises(SourceError, match=r"video0 is busy: cheese \(process 41\) holds it"):
        open_camera("0", unheard, dev, sysfs)


@pytest.mark.parametrize(
    ("recorded", "words"),
    [
        (metadata_node, "gives no pictures: it is HD Webcam's metadata"),
        (csi_sensor, r"unfinished \(RG10\)(.|\n)*use csi://"),
    ],
)
def test_a_node_that_gives_no_pictures_says_what_it_gives_instead(
    recorded: type[Recorded], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev, sysfs = machine(tmp_path, "video0")
    monkeypatch.setattr(camera, "look_at", lambda *where: look_at(*where, recorded()))
    with pytest.raises(SourceError, match=words):
        open_camera("v4l2://" + str(dev / "video0"), unheard, dev, sysfs)


# ---- the format


@pytest.mark.parametrize(
    ("wish", "chosen"),
    [
        (Wish(), None),  # nothing asked: the camera's own choice
        (Wish(640, 480), "yuyv"),  # reaches the rate without decoding
        (Wish(1280, 720), "mjpg"),  # YUYV would give 10 frames a second
        (Wish(1280, 720, 10.0), "yuyv"),
        (Wish(1280, 720, 10.0, "mjpg"), "mjpg"),
        (Wish(fps=30.0), "yuyv"),
        (Wish(333, 333), None),  # a size that is not offered: the camera takes its nearest
    ],
)
def test_a_size_alone_gets_the_format_that_reaches_the_rate(wish: Wish, chosen: str | None) -> None:
    assert settled(wish, v4l2.ask(-1, webcam()).formats).format == chosen


def test_one_side_alone_is_completed_from_what_the_camera_offers() -> None:
    formats = v4l2.ask(-1, webcam()).formats
    assert settled(Wish(width=1280), formats) == Wish(1280, 720, None, "mjpg")
    assert settled(Wish(height=480, format="mjpg"), formats) == Wish(640, 480, None, "mjpg")
    assert settled(Wish(width=1280), ()) == Wish(width=1280)


def test_what_the_camera_gives_instead_is_said_with_what_it_offers() -> None:
    words = unlike(
        Wish(1920, 1080, 30.0, "mjpg"), Wish(1280, 720, 10.0, "yuyv"), v4l2.ask(-1, webcam()).formats
    )
    assert words == (
        "gives 1280 instead of width 1920, 720 instead of height 1080, 10 instead of fps 30.0, "
        "yuyv instead of format mjpg. It offers: YUYV 1280x720@10 640x480@30; MJPG 1280x720@30 640x480@30."
    )
    assert unlike(Wish(1280, 720, 30.0), Wish(1280, 720, 29.97, "mjpg"), ()) == ""


# ---- time stamps


def test_a_drivers_stamp_on_the_monotonic_clock_is_taken_even_when_it_is_old() -> None:
    now, position_ms = [1000.0], [999_960.0]
    stamp = driver_stamp(lambda: position_ms[0], lambda: now[0])
    assert stamp is not None
    assert stamp() == pytest.approx(999.96)
    now[0] = 1060.0  # a frame that lay in the driver's queue for a minute is told as old, never as fresh
    assert stamp() == pytest.approx(999.96)
    position_ms[0] = 0.0
    assert stamp() is None


@pytest.mark.parametrize("position_ms", [0.0, 33.0, 1.8e12, 1_000_500.0])
def test_a_stream_position_or_another_clock_is_not_taken_for_a_capture_time(position_ms: float) -> None:
    assert driver_stamp(lambda: position_ms, lambda: 1000.0) is None


def test_a_driver_that_refuses_one_question_is_an_error_of_that_device_only(tmp_path: Path) -> None:
    dev, sysfs = machine(tmp_path, "video0", "video1")
    table = dict(webcam().table)
    table[v4l2.ENUM_FMT, bytes([1, 0, 0, 0, 1, 0, 0, 0])] = errno.EIO
    found = find_devices(dev, sysfs, Recorded(table))
    assert [each.trouble for each in found] == [
        f"{each.path} does not answer as a camera: recorded." for each in found
    ]
