"""What a camera is asked for, what it then gives, and in which format it is best asked."""

from dataclasses import dataclass, replace
from typing import Final

import cv2

from edgecam.sources.options import one_of, option, real, whole
from edgecam.sources.v4l2 import Format, Mode

LONGEST_SIDE: Final = 16384  # pixels
USUAL_FPS: Final = 25.0  # what "fast enough" means where nobody asks for a rate
CODES: Final = ("mjpg", "yuyv", "uyvy", "nv12", "yu12", "grey", "bgr3", "rgb3")


@dataclass(frozen=True)
class Wish:
    """What a camera is asked for. None leaves it to the camera."""

    width: int | None = option(whole(1, LONGEST_SIDE))
    height: int | None = option(whole(1, LONGEST_SIDE))
    fps: float | None = option(real(0.1, 1000))
    format: str | None = option(one_of(*CODES))


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


def params(wish: Wish) -> tuple[int, ...]:
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
