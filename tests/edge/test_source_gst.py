"""GStreamer beside us: its framing, its process, and that nothing of it stays behind."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecam.sources import gdp, gst_process, gstreamer, open_source
from edgecam.sources.gst_process import GstProcess
from edgecam.sources.source import Source
from edgecam_engines.errors import SourceError

WAIT_S = 5.0
BGR = "video/x-raw, format=(string)BGR, width=(int){w}, height=(int){h}, framerate=(fraction)30000/1001"
needs_gst = pytest.mark.skipif(
    gstreamer.built_in() or not gstreamer.can_launch(),
    reason="needs gst-launch-1.0, and an OpenCV without GStreamer",
)


def silent(words: str) -> None:
    pass


def packet(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BBBxHI", 1, 0, 1, kind, len(payload)).ljust(gdp.HEADER_BYTES, b"\0") + payload


def caps(w: int, h: int) -> bytes:
    return packet(gdp.CAPS, BGR.format(w=w, h=h).encode() + b"\0")


def frames_of(stream: bytes) -> gdp.Frames:
    at = 0

    def read(count: int) -> bytearray:
        nonlocal at
        if at + count > len(stream):
            raise EOFError
        at += count
        return bytearray(stream[at - count : at])

    return gdp.Frames(read)


# ---- framing


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9)), min_size=1, max_size=5))
def test_frames_of_any_sizes_come_out_as_they_went_in(sizes: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(0)
    sent, stream = [], packet(67, b"an event")
    for w, h in sizes:
        frame = rng.integers(0, 255, (h, w, 3), dtype=np.uint8)
        stride = (3 * w + 3) // 4 * 4  # as GStreamer pads its rows
        rows = np.zeros((h, stride), np.uint8)
        rows[:, : 3 * w] = frame.reshape(h, 3 * w)
        stream += caps(w, h) + packet(gdp.BUFFER, rows.tobytes())
        sent.append(frame)
    frames = frames_of(stream)
    for frame in sent:
        np.testing.assert_array_equal(frames.next(), frame)
    assert frames.fps == pytest.approx(29.97, abs=0.01)
    with pytest.raises(EOFError):
        frames.next()


def test_a_frame_belongs_to_who_takes_it() -> None:
    frames_of(caps(4, 1) + packet(gdp.BUFFER, bytes(12))).next()[:] = 7


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (b"GST_ARGUS: Creating output stream".ljust(80), "something else"),
        (packet(gdp.BUFFER, bytes(12)), "before its format"),
        (caps(4, 2) + packet(gdp.BUFFER, bytes(12)), "12 bytes are no frame of 4x2"),
        (packet(gdp.CAPS, b"video/x-h264, width=(int)4\0"), "gives video/x-h264"),
        (packet(gdp.CAPS, b"video/x-raw, format=(string)BGRx, width=(int)4, height=(int)1\0"), "not BGR"),
        (packet(gdp.CAPS, b"video/x-raw, format=(string)BGR\0"), "how large"),
        (struct.pack(">BBBxHI", 1, 0, 1, 1, 2**31).ljust(62, b"\0"), "something else"),
    ],
)
def test_what_is_no_frame_is_refused(stream: bytes, words: str) -> None:
    with pytest.raises(gdp.BadStream, match=words):
        frames_of(stream).next()


@given(st.binary(max_size=200))
def test_no_bytes_on_the_pipe_do_harm(stream: bytes) -> None:
    frames = frames_of(caps(4, 1) + stream)
    with pytest.raises((gdp.BadStream, EOFError)):
        [frames.next() for _ in range(len(stream) + 1)]


# ---- the text of pipelines


def test_a_pipeline_as_in_opencvs_examples_loses_its_appsink() -> None:
    ends = " ! videoconvert ! video/x-raw,format=BGR"
    assert gstreamer.any_pipeline("v4l2src ! appsink drop=true") == f"v4l2src{ends}"
    assert gstreamer.any_pipeline("v4l2src name=appsink") == f"v4l2src name=appsink{ends}"


def test_a_password_is_a_property_of_its_own_and_not_part_of_the_location() -> None:
    pipeline = gstreamer.rtsp("rtsp://camera/1", "h264", 'm"e', "p ! x")
    assert r'location="rtsp://camera/1" user-id="m\"e" user-pw="p ! x" protocols=tcp' in pipeline


def test_without_gstreamer_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gstreamer, "built_in", lambda: False)
    monkeypatch.setattr(gstreamer, "can_launch", lambda: False)
    with pytest.raises(SourceError, match=r"sudo apt install gstreamer1\.0-tools"):
        open_source("gst:videotestsrc", silent)
    with pytest.raises(SourceError, match="holds no pipeline"):
        open_source("gst:", silent)


# ---- the process


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Process numbers of all that was launched. None may be left at the end."""
    numbers: list[int] = []
    launch = gst_process._launch

    def noted(body: str, descriptor: int) -> "subprocess.Popen[bytes]":
        process = launch(body, descriptor)
        numbers.append(process.pid)
        return process

    monkeypatch.setattr(gst_process, "_launch", noted)
    yield numbers
    assert not [number for number in numbers if alive(number)]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edgecam-")]


def alive(number: int) -> bool:
    return Path(f"/proc/{number}").exists()


def picture(width: int = 64, height: int = 48, more: str = "") -> str:
    return f"videotestsrc is-live=true {more} ! video/x-raw,width={width},height={height},framerate=50/1"


def grab(source: Source, times: int) -> None:
    for _ in range(times):
        source.grab()


def next_frame(source: Source) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    assert source.grab()
    return source.retrieve()


@needs_gst
def test_any_pipeline_gives_frames_and_says_which_way_they_came(launched: list[int]) -> None:
    said: list[str] = []
    with closing(open_source(f"gst:{picture(62, 46, 'pattern=red')}", said.append)) as source:
        before = time.monotonic()
        frame = next_frame(source)
        stamp = source.stamp()
        assert stamp is not None
        assert before - 1 < stamp <= time.monotonic()
        assert frame.shape == (46, 62, 3)
        assert frame[20, 20].tolist() == [0, 0, 255]
        assert source.fps == 50
    assert "this OpenCV has no GStreamer, so gst-launch-1.0 runs beside edgecam" in said[0]
    assert len(launched) == 1


@needs_gst
def test_a_change_of_size_in_mid_stream_is_followed(launched: list[int]) -> None:
    pipeline = (
        f"{picture(64, 48, 'num-buffers=5')} ! c. {picture(80, 60, 'num-buffers=400')} ! c. concat name=c"
    )
    with closing(open_source(f"gst:{pipeline}", silent)) as source:
        until = time.monotonic() + WAIT_S
        while next_frame(source).shape != (60, 80, 3):
            assert time.monotonic() < until


@needs_gst
@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        ("nosuchelement ! fakesink", 'no element "nosuchelement"'),
        ("v4l2src device=/dev/video99", "Cannot identify device '/dev/video99'"),
        ("--version", "gives no frames: .*syntax"),
    ],
)
def test_a_pipeline_that_fails_says_what_gstreamer_says(
    pipeline: str, words: str, launched: list[int]
) -> None:
    with pytest.raises(SourceError, match=words):
        open_source(f"gst:{pipeline}", silent)


@needs_gst
def test_a_pipeline_that_ends_is_a_lost_camera(launched: list[int]) -> None:
    with closing(GstProcess(gstreamer.any_pipeline(picture(more="num-buffers=3")), "gst")) as source:
        with pytest.raises(SourceError, match="gst stopped giving frames: the pipeline ended"):
            grab(source, 9)
        with pytest.raises(SourceError, match="stopped giving frames"):
            source.grab()


@needs_gst
def test_a_password_that_gstreamer_prints_is_not_passed_on(launched: list[int]) -> None:
    with pytest.raises(SourceError) as refused:
        open_source(
            "gst:rtspsrc location=rtsp://someone:s3cr3t@127.0.0.1:9/1 ! rtph264depay ! avdec_h264", silent
        )
    assert "s3cr3t" not in str(refused.value)


@needs_gst
def test_a_quoted_value_with_blanks_arrives_as_it_is(launched: list[int], tmp_path: Path) -> None:
    place = tmp_path / "two  blanks ! here"
    sink = f"filesink location={gstreamer.quoted(str(place))}"
    pipeline = f"videotestsrc is-live=true ! tee name=t t. ! queue ! {sink} t. ! queue"
    with closing(open_source(f"gst:{pipeline}", silent)) as source:
        next_frame(source)
    assert place.exists()


@needs_gst
def test_a_taker_who_is_slow_gets_the_newest_frame(launched: list[int]) -> None:
    with closing(GstProcess(gstreamer.any_pipeline(picture()), "gst")) as source:
        next_frame(source)
        before = source.missed
        time.sleep(0.6)  # 30 frames
        next_frame(source)
        assert source.missed - before > 5
        next_frame(source)
        stamp = source.stamp()
        assert stamp is not None
        assert time.monotonic() - stamp < 0.4


@needs_gst
def test_a_pipeline_that_prints_without_end_does_not_block(
    launched: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GST_DEBUG", "6")  # megabytes a second on standard error
    monkeypatch.setenv("GST_DEBUG_NO_COLOR", "1")
    with closing(GstProcess(gstreamer.any_pipeline(picture()), "gst")) as source:
        for _ in range(10):
            next_frame(source)


@needs_gst
def test_a_frozen_pipeline_is_lost_in_time_and_its_process_is_ended(
    launched: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gst_process, "FRAME_S", 0.3)
    monkeypatch.setattr(gst_process, "END_S", 0.2)
    with closing(GstProcess(gstreamer.any_pipeline(picture()), "gst")) as source:
        os.kill(launched[0], signal.SIGSTOP)
        with pytest.raises(SourceError, match=r"gives no frames within 0\.3 s"):
            grab(source, 9)


@needs_gst
def test_a_pipeline_that_never_starts_is_given_up(launched: list[int]) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(SourceError, match=r"gives no frames within 0\.5 s"),
    ):
        GstProcess(
            gstreamer.any_pipeline(f"tcpclientsrc port={server.getsockname()[1]} ! decodebin"),
            "gst",
            first_frame_s=0.5,
        )


@needs_gst
def test_closing_twice_and_before_the_end_is_fine(launched: list[int]) -> None:
    source = open_source(f"gst:{picture()}", silent)
    source.close()
    source.close()
    with pytest.raises(SourceError):
        grab(source, 3)


@needs_gst
@pytest.mark.skipif(
    shutil.which("setpriv") is None, reason="without setpriv it ends with its next frame instead"
)
def test_a_kill_of_ours_ends_the_pipeline_even_if_it_gives_no_frames() -> None:
    script = (
        "from edgecam.sources import gst_process, gstreamer\n"
        "launch = gst_process._launch\n"
        "def noted(*args):\n"
        "    process = launch(*args)\n"
        "    print(process.pid, flush=True)\n"
        "    return process\n"
        "gst_process._launch = noted\n"
        "body = gstreamer.any_pipeline('videotestsrc ! identity sleep-time=99999999')\n"
        "gst_process.GstProcess(body, 'gst', 60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as ours:
        assert ours.stdout is not None
        number = int(ours.stdout.readline())
        time.sleep(0.3)
        assert alive(number)
        ours.kill()
    until = time.monotonic() + WAIT_S
    while alive(number) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(number)
