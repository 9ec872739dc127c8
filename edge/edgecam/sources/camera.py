"""A camera that Linux shows as /dev/videoN: 0, /dev/video2, v4l2:///dev/video0?width=1280&format=mjpg."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2

from edgecam.sources import gstreamer
from edgecam.sources.camera_format import CODES, Wish, given_by, params, settled, unlike
from edgecam.sources.capture import Attempt, LiveCapture, Stamp, first_to_open, gives_frames, unstamped
from edgecam.sources.devices import CSI_DRIVER, DEV, SYSFS, cameras_here, holders, look_at, no_permission
from edgecam.sources.options import read_options
from edgecam.sources.uri import exists, scheme_of, split_path, split_scheme
from edgecam.sources.v4l2 import Card, Format
from edgecam_engines.errors import SourceError

FIRST_AGE_S: Final = 1.0  # the first frame after opening is no older, if both clocks are the same


def open_camera(uri: str, say: Callable[[str], None], dev: Path = DEV, sysfs: Path = SYSFS) -> LiveCapture:
    """Open a camera by index, path or URI. Raises SourceError that names the stage that failed."""
    where, options = split_scheme(uri) if scheme_of(uri) == "v4l2" else split_path(uri)
    device = dev / f"video{int(where)}" if where.isdecimal() else Path(where)
    wish = read_options(Wish, options, str(device))
    formats = _check(device, dev, sysfs)
    capture = first_to_open(_attempts(device, settled(wish, formats)))
    if capture is None:
        raise SourceError(_not_opened(device, dev, sysfs))
    if not gives_frames(capture):
        capture.release()
        raise SourceError(
            f"{device} opens but gives no frames.\nUnplug it and plug it in again, try another USB port "
            f"(a hub may lack the bandwidth), a smaller size (?width=640&height=480) or another "
            f"format (?format=mjpg).\n{cameras_here(dev, sysfs)}"
        )
    if words := unlike(wish, given_by(capture), formats):
        say(f"{device} {words}")
    stamp = driver_stamp(lambda: float(capture.get(cv2.CAP_PROP_POS_MSEC)))
    return LiveCapture(capture, str(device), stamp or unstamped)


def driver_stamp(position_ms: Callable[[], float], now: Callable[[], float] = time.monotonic) -> Stamp | None:
    """The driver's own capture times, if it counts them on the monotonic clock; else None.

    OpenCV gives a buffer's time as its position. Which clock it is shows in the first frame, which is fresh.
    Later ones may be old: that is what their stamps are for.
    """
    if not 0 <= now() - position_ms() / 1000 <= FIRST_AGE_S:
        return None

    def stamp() -> float | None:
        told = position_ms() / 1000
        return told if 0 < told <= now() else None

    return stamp


def _check(device: Path, dev: Path, sysfs: Path) -> tuple[Format, ...]:
    """Whether it is there and may be used; what it offers, as far as it tells."""
    if not exists(str(device)):
        raise SourceError(
            f"There is no camera {device}.\n{cameras_here(dev, sysfs)}\n"
            f"Plug one in, or give --camera a video file, a folder of photos or rtsp://..."
        )
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(no_permission(device))
    found = look_at(device, dev, sysfs)
    if found.card is not None and not found.card.captures:
        raise SourceError(
            f"{device} gives no pictures: it is {found.card.model}'s metadata, or a codec.\n"
            f"{cameras_here(dev, sysfs)}"
        )
    formats = found.card.formats if found.card else ()
    if formats and not any(each.code.lower() in CODES for each in formats):
        raise SourceError(_wrong_format(device, found.card, formats))
    return formats


def _wrong_format(device: Path, card: Card | None, formats: tuple[Format, ...]) -> str:
    codes = ", ".join(each.code for each in formats)
    if card is not None and card.driver == CSI_DRIVER:
        return (
            f"{device} gives only what its sensor sees, unfinished ({codes}).\nThe board's image processor "
            f"makes pictures of it: use csi:// instead, and see which number it has with\n    edgecam devices"
        )
    return (
        f"{device} gives only {codes}, and edgecam reads {', '.join(CODES)}.\nGStreamer may decode it:\n"
        f"    --camera 'gst:v4l2src device={device} ! decodebin'"
    )


def _not_opened(device: Path, dev: Path, sysfs: Path) -> str:
    if found := holders(device):
        return (
            f"{device} is busy: {', '.join(found)} holds it, and a camera serves one program at a time.\n"
            f"End that program, or use another camera. {cameras_here(dev, sysfs)}"
        )
    return (
        f"{device} is there, but it cannot be opened as a camera: another user's program may hold it, "
        f"or it is not a capture device.\nSee who holds it:\n    sudo fuser -v {device}\n"
        f"{cameras_here(dev, sysfs)}"
    )


def _attempts(device: Path, wish: Wish) -> list[Attempt]:
    plain = Attempt(str(device), cv2.CAP_V4L2, params(wish))
    jpegs = wish.format in (None, "mjpg")
    if not (jpegs and gstreamer.on_jetson() and gstreamer.built_in()):
        return [plain]
    size = (wish.width or 1280, wish.height or 720, round(wish.fps or 30))
    bodies = [gstreamer.usb(str(device), decoder, *size) for decoder in ("nvv4l2decoder", "jpegdec")]
    return [*(Attempt(gstreamer.in_opencv(body), cv2.CAP_GSTREAMER) for body in bodies), plain]
