"""A camera that Linux shows as /dev/videoN, and a Jetson's CSI camera."""

import getpass
import os
from pathlib import Path
from typing import Final

import cv2

from edgecam.sources import gstreamer
from edgecam.sources.capture import Attempt, LiveCapture, first_to_open, gives_frames
from edgecam_engines.errors import SourceError

DEV: Final = Path("/dev")
SYSFS: Final = Path("/sys/class/video4linux")


def open_camera(uri: str, dev: Path = DEV, sysfs: Path = SYSFS) -> LiveCapture:
    """Open a camera by index or by path. Raises SourceError that names the stage that failed."""
    device = dev / f"video{int(uri)}" if uri.isdecimal() else Path(uri)
    _check(device, dev, sysfs)
    capture = first_to_open(_attempts(device))
    if capture is None:
        raise SourceError(
            f"{device} is there, but it cannot be opened as a camera: another program may hold it, "
            f"or it is not a capture device.\n"
            f"See who holds it:\n    fuser -v {device}\n{cameras_here(dev, sysfs)}"
        )
    if not gives_frames(capture):
        capture.release()
        raise SourceError(
            f"{device} opens but gives no frames.\nUnplug it and plug it in again, try another USB port "
            f"(a hub may lack the bandwidth), or another device. {cameras_here(dev, sysfs)}"
        )
    return LiveCapture(capture, str(device))


def open_csi(uri: str) -> LiveCapture:
    """Open a Jetson's CSI camera, csi://N."""
    sensor = uri.removeprefix("csi://") or "0"
    if not sensor.isdecimal():
        raise SourceError(f"{uri!r} names no CSI camera. Write csi://0 for the first one.")
    if not gstreamer.on_jetson():
        why = "this OpenCV has no GStreamer" if not gstreamer.built_in() else "this machine is not a Jetson"
        raise SourceError(
            f"{uri} needs a Jetson and an OpenCV with GStreamer, but {why}.\n"
            f"On a Jetson, use the system's OpenCV:\n"
            f"    pip uninstall opencv-python && sudo apt install python3-opencv"
        )
    capture = first_to_open([Attempt(gstreamer.csi(int(sensor)), cv2.CAP_GSTREAMER)])
    if capture is None or not gives_frames(capture):
        raise SourceError(
            f"{uri} gives no frames.\n"
            f"Check the ribbon cable and the sensor's driver, then restart the service:\n"
            f"    sudo systemctl restart nvargus-daemon"
        )
    return LiveCapture(capture, uri)


def cameras_here(dev: Path = DEV, sysfs: Path = SYSFS) -> str:
    """One sentence that lists the cameras of this machine."""
    found = sorted(dev.glob("video*"), key=lambda path: (len(path.name), path.name))
    if not found:
        return "This machine shows no camera at all (no /dev/video*)."
    return "Here are: " + ", ".join(f"{path}{_model(sysfs / path.name)}" for path in found) + "."


def _model(entry: Path) -> str:
    try:
        return f" ({(entry / 'name').read_text().strip()})"
    except OSError:
        return ""


def _check(device: Path, dev: Path, sysfs: Path) -> None:
    if not device.exists():
        raise SourceError(
            f"There is no camera {device}.\n{cameras_here(dev, sysfs)}\n"
            f"Plug one in, or give --camera a video file, a folder of photos or rtsp://..."
        )
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(
            f"You may not use {device}: cameras belong to the group video.\n"
            f"Join it, then log out and in again:\n"
            f"    sudo usermod -aG video {_user()}"
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under an id without a name
        return "$USER"


def _attempts(device: Path) -> list[Attempt]:
    plain = Attempt(str(device), cv2.CAP_V4L2)
    if not gstreamer.on_jetson():
        return [plain]
    return [
        Attempt(gstreamer.usb(str(device), d), cv2.CAP_GSTREAMER) for d in ("nvv4l2decoder", "jpegdec")
    ] + [plain]
