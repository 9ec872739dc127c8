"""What a camera under /dev/video* says of itself: the kernel's questions, asked without any library.

Layouts and numbers follow linux/videodev2.h, which are the same on every 64-bit machine. `Ioctl` is the
seam: tests answer from recorded bytes, since most machines that run them have no camera.
"""

import errno
import fcntl
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

Ioctl = Callable[[int, int, bytearray], object]  # descriptor, request, struct; OSError where it is refused

CAPABILITY: Final = struct.Struct("16s32s32sIII12x")  # driver, card, bus, version, all, of this node
FORMAT: Final = struct.Struct("III32sII12x")  # index, type, flags, words, four letters, code
SIZE: Final = struct.Struct("III6I8x")  # index, format, type; discrete: w, h; else min, max, step of w, of h
INTERVAL: Final = struct.Struct("IIIII6I8x")  # index, format, w, h, type; discrete: seconds as a fraction


def _request(direction: int, number: int, layout: struct.Struct) -> int:
    return direction << 30 | layout.size << 16 | ord("V") << 8 | number


QUERYCAP: Final = _request(2, 0, CAPABILITY)
ENUM_FMT: Final = _request(3, 2, FORMAT)
ENUM_FRAMESIZES: Final = _request(3, 74, SIZE)
ENUM_FRAMEINTERVALS: Final = _request(3, 75, INTERVAL)

CAPTURE: Final = 0x1
CAPTURE_MPLANE: Final = 0x1000
M2M: Final = 0x8000 | 0x4000  # codecs, which capture only what was put in
NODE_CAPS: Final = 0x80000000  # the node tells its own abilities, apart from the whole device's
DISCRETE: Final = 1
MOST: Final = 512  # answers to one question; a driver that never says "no more" is stopped here


@dataclass(frozen=True)
class Mode:
    """One size and the rates it comes in."""

    width: int
    height: int
    fps: tuple[float, ...]  # fastest first; empty where the driver does not tell


@dataclass(frozen=True)
class Format:
    """One pixel format."""

    code: str  # four letters: "MJPG", "YUYV"
    words: str
    modes: tuple[Mode, ...]  # largest first


@dataclass(frozen=True)
class Card:
    """What stands behind one device node."""

    model: str
    driver: str
    bus: str
    captures: bool  # gives pictures: not metadata, not a codec, not an output
    formats: tuple[Format, ...]


def ask(descriptor: int, ioctl: Ioctl = fcntl.ioctl) -> Card:
    """Everything about an open device node. Raises OSError when it is no video device at all."""
    answer = bytearray(CAPABILITY.size)
    ioctl(descriptor, QUERYCAP, answer)
    driver, card, bus, _, everything, own = CAPABILITY.unpack(answer)
    caps = own if everything & NODE_CAPS else everything
    captures = bool(caps & (CAPTURE | CAPTURE_MPLANE)) and not caps & M2M
    kind = 1 if caps & CAPTURE else 9  # V4L2_BUF_TYPE_VIDEO_CAPTURE, and the one with several planes
    formats = tuple(_formats(descriptor, ioctl, kind)) if captures else ()
    return Card(_text(card), _text(driver), _text(bus), captures, formats)


def _formats(descriptor: int, ioctl: Ioctl, kind: int) -> Iterator[Format]:
    for answer in _each(descriptor, ioctl, ENUM_FMT, lambda i: FORMAT.pack(i, kind, 0, b"", 0, 0)):
        _, _, _, words, pixels, _ = FORMAT.unpack(answer)
        modes = sorted(_modes(descriptor, ioctl, pixels), key=lambda m: (-m.width * m.height, -m.width))
        yield Format(_letters(pixels), _text(words), tuple(modes))


def _modes(descriptor: int, ioctl: Ioctl, pixels: int) -> Iterator[Mode]:
    for answer in _each(descriptor, ioctl, ENUM_FRAMESIZES, lambda i: SIZE.pack(i, pixels, 0, *[0] * 6)):
        _, _, kind, *numbers = SIZE.unpack(answer)
        # Any size between two: the two are told, which says enough.
        sizes = [(numbers[0], numbers[1])]
        if kind != DISCRETE:
            sizes = [(numbers[1], numbers[4]), (numbers[0], numbers[3])]
        for width, height in sizes:
            yield Mode(width, height, tuple(_rates(descriptor, ioctl, pixels, width, height)))
        if kind != DISCRETE:
            return


def _rates(descriptor: int, ioctl: Ioctl, pixels: int, width: int, height: int) -> list[float]:
    rates: set[float] = set()

    def question(index: int) -> bytes:
        return INTERVAL.pack(index, pixels, width, height, 0, *[0] * 6)

    for answer in _each(descriptor, ioctl, ENUM_FRAMEINTERVALS, question):
        kind, *numbers = INTERVAL.unpack(answer)[4:]
        fractions = [numbers[:2]] if kind == DISCRETE else [numbers[:2], numbers[2:4]]
        rates |= {round(below / above, 2) for above, below in fractions if above}
        if kind != DISCRETE:
            break
    return sorted(rates, reverse=True)


def _each(
    descriptor: int, ioctl: Ioctl, request: int, question: Callable[[int], bytes]
) -> Iterator[bytearray]:
    """Answers to index 0, 1, 2, ... until the driver has no more, or does not know the question."""
    for index in range(MOST):
        answer = bytearray(question(index))
        try:
            ioctl(descriptor, request, answer)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY):
                return
            raise
        yield answer


def _text(raw: bytes) -> str:
    """A driver's string, without what a terminal would obey."""
    words = raw.partition(b"\0")[0].decode("utf-8", "replace")
    return "".join(letter for letter in words if letter.isprintable()).strip()


def _letters(pixels: int) -> str:
    return _text((pixels & 0x7FFFFFFF).to_bytes(4, "little"))
