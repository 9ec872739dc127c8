"""Pipelines that use a Jetson's decoders. Only for an OpenCV built with GStreamer: JetPack's is.

Each ends in an appsink that keeps one frame and drops the rest, so nothing grows old in a queue.
"""

from pathlib import Path
from typing import Final

import cv2

L4T_RELEASE: Final = Path("/etc/nv_tegra_release")
_BGR: Final = "video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR"
_NEWEST: Final = "appsink drop=true max-buffers=1 sync=false"
_DEPAY: Final = {"h264": "rtph264depay ! h264parse", "h265": "rtph265depay ! h265parse"}
_DECODE: Final = {"nvv4l2decoder": "nvv4l2decoder mjpeg=1 ! nvvidconv", "jpegdec": "jpegdec ! videoconvert"}


def built_in() -> bool:
    """Whether this OpenCV was built with GStreamer."""
    lines = cv2.getBuildInformation().splitlines()
    return any("GStreamer" in line and "YES" in line for line in lines)


def on_jetson(release: Path = L4T_RELEASE) -> bool:
    """Whether these pipelines have their elements here."""
    return release.exists() and built_in()


def csi(sensor: int, width: int = 1280, height: int = 720, fps: int = 30) -> str:
    """The ribbon-cable camera behind the image processor."""
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! "
        f"video/x-raw(memory:NVMM),width={width},height={height},framerate={fps}/1,format=NV12 ! "
        f"nvvidconv flip-method=0 ! {_BGR} ! {_NEWEST}"
    )


def usb(device: str, decoder: str, width: int = 1280, height: int = 720, fps: int = 30) -> str:
    """A USB camera's JPEGs, decoded by hardware ("nvv4l2decoder") or by the CPU ("jpegdec")."""
    return (
        f"v4l2src device={quoted(device)} ! image/jpeg,width={width},height={height},framerate={fps}/1 ! "
        f"{_DECODE[decoder]} ! {_BGR} ! {_NEWEST}"
    )


def rtsp(url: str, codec: str, latency_ms: int = 100) -> str:
    """A network camera; codec is "h264" or "h265"."""
    return (
        f"rtspsrc location={quoted(url)} protocols=tcp latency={latency_ms} drop-on-latency=true ! queue ! "
        f"{_DEPAY[codec]} ! nvv4l2decoder enable-max-performance=1 ! nvvidconv ! {_BGR} ! {_NEWEST}"
    )


def quoted(text: str) -> str:
    """A value as one word of a pipeline, so that no URL can add elements of its own."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
