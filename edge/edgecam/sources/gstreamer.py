"""Pipelines as text, each up to BGR frames, and what a runner puts behind them.

Two runners take them: an OpenCV that was built with GStreamer (JetPack's is; pip's is not), and
`gst_process`, which runs gst-launch beside this process. What a user wrote stands in a pipeline only as one
quoted word, except behind `gst:`, which is a pipeline by definition.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import cv2

L4T_RELEASE: Final = Path("/etc/nv_tegra_release")
LAUNCH: Final = "gst-launch-1.0"
INSPECT: Final = "gst-inspect-1.0"
PACKAGES: Final = "gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
ASK_S: Final = 20.0  # the first question to GStreamer builds its cache of plugins
_BGR: Final = "video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR"
_APPSINK: Final = re.compile(r"!\s*appsink\b[^!]*$")
_DEPAY: Final = {"h264": "rtph264depay ! h264parse", "h265": "rtph265depay ! h265parse"}
_DECODE: Final = {"nvv4l2decoder": "nvv4l2decoder mjpeg=1 ! nvvidconv", "jpegdec": "jpegdec ! videoconvert"}


def built_in() -> bool:
    """Whether this OpenCV was built with GStreamer."""
    lines = cv2.getBuildInformation().splitlines()
    return any("GStreamer" in line and "YES" in line for line in lines)


def on_jetson(release: Path = L4T_RELEASE) -> bool:
    """Whether the hardware decoders have their elements here."""
    return release.exists()


def can_launch() -> bool:
    """Whether pipelines can run in a process of their own."""
    return shutil.which(LAUNCH) is not None and has_element("gdppay")


def has_element(name: str) -> bool:
    """Whether GStreamer has an element of this name here."""
    if shutil.which(INSPECT) is None:
        return False
    try:
        asked = subprocess.run(
            [INSPECT, "--exists", name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ASK_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def in_opencv(body: str) -> str:
    """A pipeline for OpenCV: its end keeps one frame and drops the rest, so nothing grows old in a queue."""
    return f"{body} ! appsink drop=true max-buffers=1 sync=false"


def in_process(body: str, descriptor: int) -> str:
    """A pipeline for gst-launch, which writes its newest frames with their format to a file descriptor."""
    newest = "queue leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0"
    return f"{body} ! {newest} ! gdppay ! fdsink sync=false fd={descriptor}"


def any_pipeline(text: str) -> str:
    """A user's pipeline up to BGR frames; a last appsink, which OpenCV's examples have, is cut off."""
    return f"{_APPSINK.sub('', text).strip()} ! videoconvert ! video/x-raw,format=BGR"


def csi(sensor: int, width: int = 1280, height: int = 720, fps: int = 30, flip: int = 0) -> str:
    """The ribbon-cable camera behind the image processor; `flip` is nvvidconv's flip-method."""
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! "
        f"video/x-raw(memory:NVMM),width={width},height={height},framerate={fps}/1,format=NV12 ! "
        f"nvvidconv flip-method={flip} ! {_BGR}"
    )


def usb(device: str, decoder: str, width: int = 1280, height: int = 720, fps: int = 30) -> str:
    """A USB camera's JPEGs, decoded by hardware ("nvv4l2decoder") or by the CPU ("jpegdec")."""
    return (
        f"v4l2src device={quoted(device)} ! image/jpeg,width={width},height={height},framerate={fps}/1 ! "
        f"{_DECODE[decoder]} ! {_BGR}"
    )


def rtsp(
    url: str,
    codec: str,
    user: str | None = None,
    password: str | None = None,
    latency_ms: int = 100,
    transport: str = "tcp",
) -> str:
    """A network camera; codec is "h264" or "h265". `url` holds no user and no password."""
    who = "" if user is None else f" user-id={quoted(user)} user-pw={quoted(password or '')}"
    return (
        f"rtspsrc location={quoted(url)}{who} protocols={transport} latency={latency_ms} "
        f"drop-on-latency=true ! queue ! "
        f"{_DEPAY[codec]} ! nvv4l2decoder enable-max-performance=1 ! nvvidconv ! {_BGR}"
    )


def quoted(text: str) -> str:
    """A value as one word of a pipeline, so that no URL can add elements of its own."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
