"""Network cameras over RTSP, from a real server on loopback."""

import os
from collections.abc import Sequence
from contextlib import closing

import cv2
import pytest

from edge.parts.rtsp_server import RtspServer, h264, has_rtsp_server
from edgecam.sources import gstreamer, open_source, stream
from edgecam.sources.capture import Attempt
from edgecam.sources.source import Source
from edgecam_engines.errors import SourceError

pytestmark = pytest.mark.skipif(
    not has_rtsp_server(), reason="needs GStreamer's RTSP server and its bindings"
)


def silent(words: str) -> None:
    pass


def grab(source: Source, times: int) -> None:
    for _ in range(times):
        source.grab()
        source.retrieve()


def test_a_stream_gives_frames_is_lost_when_its_server_stops_and_comes_back() -> None:
    server = RtspServer()
    with server:
        with closing(open_source(server.uri, silent)) as source:
            grab(source, 3)
            assert source.retrieve().shape == (240, 320, 3)
            assert source.fps == 15
            assert source.stamp() is None, "a stream's position is no capture time"
            server.stop()
            with pytest.raises(SourceError, match=r"127\.0\.0\.1.* stopped giving frames"):
                grab(source, 60)
        with pytest.raises(SourceError, match="cannot be reached"):
            open_source(server.uri, silent)
        server.start()
        with closing(open_source(server.uri, silent)) as source:
            grab(source, 1)


def test_a_password_opens_a_stream_and_a_wrong_one_does_not_and_neither_is_shown() -> None:
    with RtspServer(user="someone", password="s3cr3t @") as server:
        uri = server.uri.replace("://", "://someone:s3cr3t%20%40@")
        with closing(open_source(uri, silent)) as source:
            grab(source, 1)
            assert source.name == f"rtsp://***@127.0.0.1:{server.port}/camera"
        with pytest.raises(SourceError, match="the user or the password may be wrong") as refused:
            open_source(server.uri.replace("://", "://someone:wr0ng@"), silent)
        assert "wr0ng" not in str(refused.value)


@pytest.mark.skipif(not gstreamer.can_launch(), reason="needs gst-launch-1.0")
def test_the_hardware_pipeline_decodes_a_stream_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    # The board's decoder has its place taken by the CPU's; all else of the pipeline is as it is there.
    real = gstreamer.rtsp

    def without_board(*words: str | int | None) -> str:
        pipeline = real(*words)  # type: ignore[arg-type]
        return pipeline.replace(
            "nvv4l2decoder enable-max-performance=1 ! nvvidconv", "avdec_h264 ! videoconvert"
        )

    monkeypatch.setattr(gstreamer, "rtsp", without_board)
    monkeypatch.setattr(stream.gstreamer, "on_jetson", lambda: True)
    said: list[str] = []
    with RtspServer(h264(160, 120), user="someone", password='s3cr3t "@') as server:
        uri = server.uri.replace("://", "://someone:s3cr3t%20%22%40@")
        with closing(open_source(f"{uri}#decoder=hardware&latency=0", said.append)) as source:
            grab(source, 2)
            assert source.retrieve().shape == (120, 160, 3)
            assert source.stamp() is not None
    assert "runs beside edgecam" in said[0]
    assert "s3cr3t" not in said[0]


def test_where_the_hardware_does_not_take_a_stream_ffmpeg_does_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream.gstreamer, "on_jetson", lambda: True)
    said: list[str] = []
    with RtspServer() as server, closing(open_source(server.uri, said.append)) as source:
        grab(source, 1)
    assert "FFmpeg decodes it on the CPU" in said[0]


def test_a_stream_that_cannot_be_opened_in_haste_is_opened_with_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, tried = stream.first_to_open, []

    def second_time(attempts: Sequence[Attempt]) -> cv2.VideoCapture | None:
        tried.append(os.environ[stream.FFMPEG_VARIABLE])
        return real(attempts) if len(tried) == 2 else None

    monkeypatch.setattr(stream, "first_to_open", second_time)
    with RtspServer() as server, closing(open_source(f"{server.uri}#transport=udp", silent)) as source:
        grab(source, 1)
    assert ["analyzeduration" in options for options in tried] == [True, False]
    assert all(options.startswith("rtsp_transport;udp|") for options in tried)
    assert stream.FFMPEG_VARIABLE not in os.environ, "they would make the next video lose frames"
