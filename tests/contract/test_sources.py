"""Every kind of source keeps the same promises, whatever stands behind it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.loop_kit import make_video, scene
from edge.parts.mjpeg_server import MjpegServer
from edge.parts.rtsp_server import RtspServer, has_rtsp_server
from edgecam.sources import OPENERS, gstreamer, kind_of, open_source

Opened = Callable[[Path], Iterator[str]]
NO_CAMERA_HERE = {"camera", "csi"}  # need a device; their parts are tested from recorded answers


def silent(words: str) -> None:
    pass


def fixed(folder: Path) -> Iterator[str]:
    yield "fixed://?fps=100"


def gst(folder: Path) -> Iterator[str]:
    if not (gstreamer.built_in() or gstreamer.can_launch()):
        pytest.skip("needs GStreamer")
    yield "gst:videotestsrc is-live=true"


def http(folder: Path) -> Iterator[str]:
    with MjpegServer(user="someone", password="s3cr3t") as server:
        yield server.uri.replace("://", "://someone:s3cr3t@")


def rtsp(folder: Path) -> Iterator[str]:
    if not has_rtsp_server():
        pytest.skip("needs GStreamer's RTSP server and its bindings")
    with RtspServer(user="someone", password="s3cr3t") as server:
        yield server.uri.replace("://", "://someone:s3cr3t@")


def video(folder: Path) -> Iterator[str]:
    yield str(make_video(folder / "clip.mp4", frames=5))


def looped(folder: Path) -> Iterator[str]:
    yield f"{make_video(folder / 'clip.mp4', frames=2)}?loop=1&realtime=1"


def photos(folder: Path) -> Iterator[str]:
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), scene(i))
    yield str(folder)


KINDS: list[Opened] = [fixed, gst, http, rtsp, video, looped, photos]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_source_keeps_its_promises(kind: Opened, tmp_path: Path) -> None:
    with contextmanager(kind)(tmp_path) as uri:
        source = open_source(uri, silent)
        assert source.name
        assert "s3cr3t" not in source.name
        assert 0.1 <= source.fps <= 1000
        stamps = []
        for _ in range(3):
            assert source.grab() is True
            stamp = source.stamp()
            frame = source.retrieve()
            assert frame.ndim == 3
            assert frame.shape[2] == 3
            assert frame.dtype == np.uint8
            frame[:] = 0  # the caller's own
            if stamp is not None:
                assert 0 <= time.monotonic() - stamp < 5
                stamps.append(stamp)
        assert stamps == sorted(stamps)
        assert len(stamps) in (0, 3), "a driver tells the time of each frame, or of none"
        source.close()
        source.close()


def test_every_kind_is_here_or_needs_a_device(tmp_path: Path) -> None:
    here = set()
    for kind in (fixed, gst, video, photos):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        with contextmanager(kind)(folder) as uri:
            here.add(kind_of(uri))
    assert here | {"http", "rtsp"} | NO_CAMERA_HERE == set(OPENERS)
