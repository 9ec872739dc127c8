"""A camera's answers to the kernel's questions, recorded as the bytes of its structs.

The bytes were written down by hand from linux/videodev2.h, not packed by the code under test.
"""

import errno
from collections.abc import Mapping

KEYS = {0x80685600: 0, 0xC0405602: 8, 0xC02C564A: 8, 0xC034564B: 16}  # bytes of a question that matter
USB = "usb-0000:00:14.0-1"


def u32(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4, "little") for number in numbers)


def words(text: str, size: int) -> bytes:
    return text.encode().ljust(size, b"\0")


def capability(card: str, driver: str, bus: str, device: int, node: int) -> bytes:
    return words(driver, 16) + words(card, 32) + words(bus, 32) + u32(0x060812, device, node, 0, 0, 0)


def pixel_format(index: int, letters: str, description: str) -> bytes:
    return u32(index, 1, 0) + words(description, 32) + letters.encode() + u32(0, 0, 0, 0)


def size(index: int, letters: str, width: int, height: int) -> bytes:
    return u32(index) + letters.encode() + u32(1, width, height, 0, 0, 0, 0, 0, 0)


def rate(index: int, letters: str, width: int, height: int, above: int, below: int) -> bytes:
    return u32(index) + letters.encode() + u32(width, height, 1, above, below, 0, 0, 0, 0, 0, 0)


class Recorded:
    """An ioctl that answers from a table, by a question's number and its first bytes; errors are numbers."""

    def __init__(self, table: Mapping[tuple[int, bytes], bytes | int]) -> None:
        self.table = table

    def __call__(self, descriptor: int, request: int, question: bytearray) -> int:
        answer = self.table.get((request, bytes(question[: KEYS[request]])), errno.EINVAL)
        if isinstance(answer, int):
            raise OSError(answer, "recorded")
        assert len(answer) == len(question) == request >> 16 & 0x3FFF
        question[:] = answer
        return 0


def webcam() -> Recorded:
    """YUYV in 640x480 at 30 and 1280x720 at 10; MJPG in both at 30; and 15 in the small one."""
    table: dict[tuple[int, bytes], bytes | int] = {
        (0x80685600, b""): capability(
            "HD Webcam\x1b[31m", "uvcvideo", "usb-0000:00:14.0-1", 0x84A00001, 0x04200001
        ),
    }
    sizes = [(640, 480), (1280, 720)]
    rates = {("YUYV", 640): [(1, 15), (1, 30)], ("YUYV", 1280): [(1, 10)]}
    for i, (letters, description) in enumerate([("YUYV", "YUYV 4:2:2"), ("MJPG", "Motion-JPEG")]):
        table[0xC0405602, u32(i, 1)] = pixel_format(i, letters, description)
        for j, (width, height) in enumerate(sizes):
            table[0xC02C564A, u32(j) + letters.encode()] = size(j, letters, width, height)
            for k, (above, below) in enumerate(rates.get((letters, width), [(333333, 10_000_000)])):
                key = u32(k) + letters.encode() + u32(width, height)
                table[0xC034564B, key] = rate(k, letters, width, height, above, below)
    return Recorded(table)


def metadata_node() -> Recorded:
    """What uvcvideo shows beside every camera: the device captures, this node does not."""
    return Recorded({(0x80685600, b""): capability("HD Webcam", "uvcvideo", USB, 0x84A00001, 0x04A00000)})


def stepwise() -> Recorded:
    """A virtual camera of any size from 2x2 to 8192x8192, whose driver knows no frame intervals."""
    span = u32(0) + b"YUYV" + u32(3, 2, 8192, 2, 2, 4096, 2, 0, 0)
    return Recorded(
        {
            (0x80685600, b""): capability(
                "Dummy video device", "v4l2 loopback", "platform:loop", 0x85200001, 0x05200001
            ),
            (0xC0405602, u32(0, 1)): pixel_format(0, "YUYV", "YUYV 4:2:2"),
            (0xC02C564A, u32(0) + b"YUYV"): span,
            (0xC034564B, u32(0) + b"YUYV" + u32(8192, 4096)): errno.ENOTTY,
        }
    )


def csi_sensor() -> Recorded:
    """A Jetson's CSI sensor as a node: raw pixels only."""
    return Recorded(
        {
            (0x80685600, b""): capability(
                "vi-output, imx219 9-0010",
                "tegra-video",
                "platform:tegra-capture-vi:1",
                0x84200001,
                0x04200001,
            ),
            (0xC0405602, u32(0, 1)): pixel_format(0, "RG10", "10-bit Bayer RGRG/GBGB"),
            (0xC02C564A, u32(0) + b"RG10"): size(0, "RG10", 3280, 2464),
        }
    )
