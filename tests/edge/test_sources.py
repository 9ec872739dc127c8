"""Sources: chosen by URI, opened in stages that each say what is wrong, read with nothing made up."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.loop_kit import CueCamera, frames_in, make_video, scene
from edgecam.sources import OPENERS, gstreamer, kind_of, open_source
from edgecam.sources.camera import cameras_here, open_camera
from edgecam.sources.hiding import printable
from edgecam.sources.photos import open_photos
from edgecam.sources.playback import Playback
from edgecam.sources.stream import open_stream
from edgecam.sources.video import open_video
from edgecam_engines.errors import SourceError

WAIT_S = 5.0


def unheard(words: str) -> None:
    raise AssertionError(f"nothing was to be said, but: {words}")


# ---- choosing


def test_a_uri_is_chosen_by_scheme_shape_and_what_is_at_its_path(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"x")
    (tmp_path / "clip.mp4").write_bytes(b"x")
    chosen = {
        "0": "camera",
        "12": "camera",
        "/dev/video2": "camera",
        "rtsp://camera/1": "rtsp",
        "RTSP://camera/1": "rtsp",
        "rtsps://camera/1": "rtsp",
        "csi://0": "csi",
        "v4l2:///dev/video0?width=640": "camera",
        "0?width=640": "camera",
        "http://camera/1": "http",
        "https://camera/1": "http",
        "gst:videotestsrc": "gst",
        "fixed://?fps=5": "fixed",
        str(tmp_path): "photos",
        str(tmp_path / "photo.png"): "photos",
        str(tmp_path / "clip.mp4"): "video",
        f"file://{tmp_path}": "photos",
        f"{tmp_path}/clip.mp4?loop=1": "video",
        str(tmp_path / "missing"): "video",
    }
    assert {uri: kind_of(uri) for uri in chosen} == chosen
    assert set(chosen.values()) == set(OPENERS)


@pytest.mark.parametrize("uri", ["missing.mp4", "missing?.mp4", "", "a\0b", "x" * 5000])
def test_what_is_nowhere_is_refused_with_the_list_of_what_can_be_given(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=r"/dev/video0.*rtsp://|holds no photos"):
        open_source(uri, unheard)


# ---- cameras


def test_a_missing_camera_names_the_cameras_that_are_there(tmp_path: Path) -> None:
    dev, sysfs = tmp_path / "dev", tmp_path / "sys"
    (sysfs / "video2").mkdir(parents=True)
    (sysfs / "video2" / "name").write_text("Desk camera\n")
    dev.mkdir()
    for name in ("video2", "video10"):
        (dev / name).touch()
    with pytest.raises(SourceError) as refused:
        open_camera("0", unheard, dev, sysfs)
    assert f"There is no camera {dev}/video0" in str(refused.value)
    assert f"{dev}/video2 (Desk camera), {dev}/video10" in str(refused.value)


def test_a_machine_without_cameras_says_so(tmp_path: Path) -> None:
    assert "no camera at all" in cameras_here(tmp_path, tmp_path)


def test_a_camera_without_permission_is_told_before_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "video0").touch()
    monkeypatch.setattr(
        os, "access", lambda *_: False
    )  # root may open everything, so it cannot be had for real
    with pytest.raises(SourceError, match=f"You may not use {tmp_path}/video0"):
        open_camera("0", unheard, tmp_path, tmp_path)


def test_a_device_that_is_no_camera_is_told_from_one_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    with pytest.raises(SourceError, match=r"cannot be opened as a camera(.|\n)*fuser -v"):
        open_camera("0", unheard, tmp_path, tmp_path)


@pytest.mark.skipif(gstreamer.on_jetson(), reason="this is a Jetson")
@pytest.mark.parametrize(
    ("uri", "words"), [("csi://0", "needs a Jetson"), ("csi://left", "names no CSI camera")]
)
def test_a_csi_camera_elsewhere_says_what_it_needs(uri: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_source(uri, unheard)


# ---- network cameras


@pytest.fixture
def silent_server() -> Iterator[int]:
    """A port that accepts and hangs up, like a web server that was asked for RTSP."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(WAIT_S)


def test_a_network_camera_that_cannot_be_reached_is_told_before_opening() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SourceError, match=rf"cannot be reached: .*{port}"):
        open_stream(f"rtsp://127.0.0.1:{port}/1", unheard)


def test_a_network_camera_that_gives_no_stream_never_shows_its_password(silent_server: int) -> None:
    with pytest.raises(SourceError, match="gives no stream") as refused:
        open_stream(f"rtsp://admin:hunter2@127.0.0.1:{silent_server}/1", unheard)
    assert "hunter2" not in str(refused.value)
    assert "admin" not in str(refused.value)
    assert "OPENCV_FFMPEG_CAPTURE_OPTIONS" not in os.environ, "they would make the next video lose frames"


@pytest.mark.parametrize("uri", ["rtsp://", "rtsp://camera:port/1", "rtsp://camera:99999/1"])
def test_a_network_url_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(SourceError, match=r"names no camera|is not a URL"):
        open_stream(uri, unheard)


def test_a_password_with_an_at_sign_is_hidden_too() -> None:
    assert printable("rtsp://me:p@ss@camera:554/1?channel=2") == "rtsp://***@camera:554/1?channel=2"


def test_a_url_stays_one_word_of_its_pipeline() -> None:
    pipeline = gstreamer.rtsp('rtsp://camera/" ! filesink location="x', "h264")
    assert pipeline.startswith(r'rtspsrc location="rtsp://camera/\" ! filesink location=\"x" protocols=tcp')


@pytest.mark.parametrize(
    "pipeline",
    [
        gstreamer.csi(0),
        gstreamer.usb("/dev/video0", "nvv4l2decoder"),
        gstreamer.usb("/dev/video0", "jpegdec"),
        gstreamer.rtsp("rtsp://camera/1", "h265"),
    ],
)
def test_every_live_pipeline_keeps_one_frame_and_drops_the_rest(pipeline: str) -> None:
    ends = "format=BGR ! appsink drop=true max-buffers=1 sync=false"
    assert gstreamer.in_opencv(pipeline).endswith(ends)
    assert "format=BGR ! queue leaky=downstream max-size-buffers=1 " in gstreamer.in_process(pipeline, 5)


# ---- files and folders


def test_a_video_gives_every_frame_once_and_in_order(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", frames=30)
    source = open_video(str(path))
    given = []
    while source.grab():
        given.append(source.retrieve())
    source.close()
    assert len(given) == 30
    assert source.fps == 25
    np.testing.assert_array_equal(given, frames_in(path))


def test_a_frame_that_is_grabbed_and_not_retrieved_is_gone(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", frames=5)
    cv2.imwrite(str(tmp_path / "photo.png"), scene(0))
    for source, frames in ((open_video(str(path)), 5), (open_photos(str(tmp_path), unheard), 1)):
        assert [source.grab() for _ in range(frames + 1)] == [True] * frames + [False]
        source.close()


@pytest.mark.parametrize(("content", "words"), [(b"", "0 bytes"), (b"no video " * 99, "is not a video")])
def test_a_file_that_is_no_video_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(SourceError, match=words):
        open_video(str(tmp_path / "clip.mp4"))


def test_a_video_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match="cut off"):
        open_video(str(path))


def test_photos_come_in_the_order_of_their_names_and_a_bad_one_is_named(tmp_path: Path) -> None:
    for name, kind in (("b/2.png", 1), ("a/1.png", 0), ("c.png", 2)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), scene(kind))
    (tmp_path / "b" / "1.jpg").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no photo")
    said: list[str] = []
    source = open_photos(str(tmp_path), said.append)
    for kind in range(3):
        assert source.grab()
        np.testing.assert_array_equal(source.retrieve(), scene(kind))
    assert not source.grab()
    assert len(said) == 1
    assert "1.jpg" in said[0]


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no photos"):
        open_photos(str(tmp_path), unheard)


def test_a_folder_with_bad_photos_only_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"not a photo")
    said: list[str] = []
    with pytest.raises(SourceError, match="None of the 1 photos"):
        open_photos(str(tmp_path), said.append)
    assert len(said) == 1


# ---- real time


def test_a_paced_file_keeps_its_own_speed_and_small_delays_do_not_add_up() -> None:
    now = [100.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    class Still(CueCamera):
        def grab(self) -> bool:
            now[0] += 0.01  # what decoding takes
            return True

    source = Playback(Still(lasts=0), realtime=True, now=lambda: now[0], sleep=sleep)
    for _ in range(50):
        source.grab()
    assert source.live
    assert now[0] - 100.0 == pytest.approx(49 / 25 + 0.01)
    assert slept[0] == 0
