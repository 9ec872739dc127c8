"""A camera that Linux shows as /dev/videoN: 0, /dev/video2, v4l2:///dev/video0?width=1280&format=mjpg."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2

from edgecam.sources import gstreamer
from edgecam.sources.capture import Attempt, LiveCapture, Stamp, first_to_open, gives_frames, unstamped
from edgecam.sources.devices import CSI_DRIVER, DEV, SYSFS, cameras_here, holders, look_at, no_permission
from edgecam.sources.options import one_of, option, read_options, real, whole
from edgecam.sources.uri import exists, scheme_of, split_path, split_scheme
from edgecam.sources.v4l2 import Card, Format, Mode
from edgecam_engines.errors import SourceError

LONGEST_SIDE: Final = 16384  # pixels
USUAL_FPS: Final = 25.0  # what "fast enough" means where nobody asks for a rate
FIRST_AGE_S: Final = 1.0  # the first frame after opening is no older, if both clocks are the same
CODES: Final = ("mjpg", "yuyv", "uyvy", "nv12", "yu12", "grey", "bgr3", "rgb3")


@dataclass(frozen=True)
class Wish:
    """What a camera is asked for. None leaves it to the camera."""

    width: int | None = option(whole(1, LONGEST_SIDE))
    height: int | None = option(whole(1, LONGEST_SIDE))
    fps: float | None = option(real(0.1, 1000))
    format: str | None = option(one_of(*CODES))


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


def settled(wish: Wish, formats: tuple[Format, ...]) -> Wish:
    """The wish with a format, where a size or a rate is asked for without one.

    Many USB cameras give their large sizes at 5 frames a second in YUYV and at 30 in MJPG, and YUYV unless
    asked. So: YUYV, which costs nothing to decode, if it reaches the rate; else what comes nearest to it.
    """
    wish = _with_both_sides(wish, formats)
    if wish.format or not formats or not (wish.width or wish.height or wish.fps):
        return wish
    goal = wish.fps or USUAL_FPS

    def merit(each: Format) -> tuple[float, bool, bool]:
        fastest = max((_fastest(m) for m in each.modes if _fits(m, wish)), default=0.0)
        return min(fastest, goal), each.code == "YUYV", each.code == "MJPG"

    known = [each for each in formats if each.code.lower() in CODES]
    best = max(known, key=merit, default=None)
    if best is None or not merit(best)[0]:
        return wish
    return replace(wish, format=best.code.lower())


def given_by(capture: cv2.VideoCapture) -> Wish:
    """What an open camera really gives."""
    letters = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0x7FFFFFFF
    code = letters.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ").lower()
    return Wish(
        int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        float(capture.get(cv2.CAP_PROP_FPS)) or None,
        code if code.isprintable() and code else None,
    )


def unlike(wish: Wish, given: Wish, formats: tuple[Format, ...]) -> str:
    """Where the camera gives something else than it was asked for, in words; "" where it obeys."""
    differs = [
        (f"{name} {asked}", f"{got:g}" if isinstance(got, float) else f"{got}")
        for name in ("width", "height", "fps", "format")
        if (asked := getattr(wish, name)) is not None
        and (got := getattr(given, name)) is not None
        and (abs(asked - got) > 0.5 if name == "fps" else asked != got)
    ]
    if not differs:
        return ""
    words = ", ".join(f"{got} instead of {asked}" for asked, got in differs)
    offers = "; ".join(f"{f.code} {_sizes(f)}" for f in formats)
    return f"gives {words}." + (f" It offers: {offers}." if offers else "")


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
    plain = Attempt(str(device), cv2.CAP_V4L2, _params(wish))
    jpegs = wish.format in (None, "mjpg")
    if not (jpegs and gstreamer.on_jetson() and gstreamer.built_in()):
        return [plain]
    size = (wish.width or 1280, wish.height or 720, round(wish.fps or 30))
    bodies = [gstreamer.usb(str(device), decoder, *size) for decoder in ("nvv4l2decoder", "jpegdec")]
    return [*(Attempt(gstreamer.in_opencv(body), cv2.CAP_GSTREAMER) for body in bodies), plain]


def _params(wish: Wish) -> tuple[int, ...]:
    """OpenCV's property, value, property, value, ...: the format first, since sizes depend on it."""
    pairs = [
        (cv2.CAP_PROP_FOURCC, wish.format and cv2.VideoWriter.fourcc(*wish.format.upper())),
        (cv2.CAP_PROP_FRAME_WIDTH, wish.width),
        (cv2.CAP_PROP_FRAME_HEIGHT, wish.height),
        (cv2.CAP_PROP_FPS, wish.fps and round(wish.fps)),
    ]
    return tuple(number for key, value in pairs if value for number in (key, value))


def _with_both_sides(wish: Wish, formats: tuple[Format, ...]) -> Wish:
    """One side alone says nothing to OpenCV: the other comes from the largest size that has it."""
    if (wish.width is None) == (wish.height is None):
        return wish
    fitting = [m for each in formats for m in each.modes if _fits(m, wish)]
    if not fitting:
        return wish
    largest = max(fitting, key=lambda mode: mode.width * mode.height)
    return replace(wish, width=largest.width, height=largest.height)


def _fits(mode: Mode, wish: Wish) -> bool:
    return wish.width in (None, mode.width) and wish.height in (None, mode.height)


def _fastest(mode: Mode) -> float:
    return mode.fps[0] if mode.fps else USUAL_FPS


def _sizes(each: Format) -> str:
    shown = [f"{m.width}x{m.height}" + (f"@{m.fps[0]:g}" if m.fps else "") for m in each.modes[:6]]
    return " ".join(shown) or "in sizes that it does not tell"
