"""H.264 by GStreamer, in a process of its own that frames are piped to: hardware where there is some.

It works with any OpenCV, also one without GStreamer. If we are killed, the pipe ends, and the process closes
its file in good order.
"""

import os
import selectors
import shutil
import subprocess
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgecam.recorder.encoder import Encoder, EncoderFailed, OpenEncoder
from edgecam.recorder.fitted import fitted
from edgecam_engines.engine import Frame

LAUNCH: Final = "gst-launch-1.0"
# Each takes I420 in ordinary memory. bits: a second; gop: frames from one key frame to the next.
ENCODERS: Final[dict[str, str]] = {
    "nvv4l2h264enc": "nvvidconv ! video/x-raw(memory:NVMM),format=NV12 ! nvv4l2h264enc bitrate={bits} "
    "iframeinterval={gop} idrinterval={gop} insert-sps-pps=true",  # Jetson; Orin Nano has the element only
    "x264enc": "x264enc speed-preset=superfast tune=zerolatency bitrate={kbits} key-int-max={gop}",
}
HARDWARE: Final = ("nvv4l2h264enc",)
BITS_PER_PIXEL: Final = 0.1
FRAGMENT_MS: Final = 1000
STUCK_S: Final = 10.0  # an encoder that takes nothing for so long is given up
PIPE_BYTES: Final = 1 << 20
_F_SETPIPE_SZ: Final = 1031  # Linux


def pipeline(element: str, path: Path, fps: float, size: tuple[int, int]) -> list[str]:
    """The arguments of gst-launch; `size` is (width, height), the width a multiple of 8."""
    width, height = size
    rate = Fraction(fps).limit_denominator(1001)
    source = (
        f"fdsrc fd=0 blocksize={width * height * 3 // 2} ! rawvideoparse format=i420 width={width} "
        f"height={height} framerate={rate.numerator}/{rate.denominator}"
    )
    muxer = f"h264parse ! mp4mux fragment-duration={FRAGMENT_MS} ! filesink buffer-mode=2"
    words = f"{source} ! {_encoding(element, fps, size)} ! {muxer}"
    return [LAUNCH, "-q", *words.split(), f"location={path}"]


def works(element: str) -> bool:
    """Whether it encodes two frames here: an element may be installed where its hardware is not."""
    inspect = shutil.which("gst-inspect-1.0")
    if inspect is None or shutil.which(LAUNCH) is None or not _succeeds([inspect, "--exists", element]):
        return False
    source = "videotestsrc num-buffers=2 ! video/x-raw,format=I420,width=320,height=240,framerate=30/1"
    return _succeeds([LAUNCH, "-q", *f"{source} ! {_encoding(element, 30, (320, 240))} ! fakesink".split()])


def hardware() -> str | None:
    """The first hardware encoder that works here."""
    return next((element for element in HARDWARE if works(element)), None)


def opener(element: str) -> OpenEncoder:
    """How to open an encoder of this element."""

    def open_it(path: Path, fps: float, hw: tuple[int, int]) -> Encoder:
        return GStreamerEncoder(element, path, fps, hw)

    return open_it


class GStreamerEncoder:
    """One file by one process."""

    def __init__(self, element: str, path: Path, fps: float, hw: tuple[int, int]) -> None:
        # GStreamer's I420 has rows of whole words: with such a width there is nothing to pad.
        self._size = max(16, -(-hw[1] // 8) * 8), max(16, -(-hw[0] // 2) * 2)
        path.touch(exist_ok=False)  # the process takes a moment before it does
        try:
            self._process = subprocess.Popen(
                pipeline(element, path, fps, self._size),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us; it ends when the pipe does
            )
        except OSError as error:
            raise EncoderFailed(f"{LAUNCH} cannot be started: {error.strerror or error}") from error
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        os.set_blocking(self._pipe, False)
        with suppress(OSError):
            import fcntl

            fcntl.fcntl(self._pipe, _F_SETPIPE_SZ, PIPE_BYTES)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_WRITE)

    def write(self, frame: Frame) -> None:
        planes = np.asarray(cv2.cvtColor(fitted(frame, self._size), cv2.COLOR_BGR2YUV_I420))
        rest = memoryview(planes.tobytes())
        while rest:
            if not self._selector.select(STUCK_S):
                self._process.kill()
                raise EncoderFailed(f"{LAUNCH} hangs")
            try:
                rest = rest[os.write(self._pipe, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise EncoderFailed(f"{LAUNCH} ended") from error

    def close(self) -> None:
        if self._process.stdin is None or self._process.stdin.closed:
            return
        self._selector.close()
        self._process.stdin.close()
        try:
            code = self._process.wait(STUCK_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if code:
            raise EncoderFailed(f"{LAUNCH} ended with code {code}")


def _encoding(element: str, fps: float, size: tuple[int, int]) -> str:
    bits = max(200_000, round(BITS_PER_PIXEL * fps * size[0] * size[1]))
    return ENCODERS[element].format(bits=bits, kbits=bits // 1000, gop=max(1, round(fps)))


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=STUCK_S, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
