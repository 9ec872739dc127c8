"""What a segment is called: `CAMERA_20231114T221320.000Z_000012.mp4`.

The time is for people. Order, and that no two are the same, rest on the number, which only ever grows: a
clock may step back, and a board without a battery wakes up in 1970.
"""

import re
from datetime import datetime, timezone
from typing import Final, NamedTuple

DONE: Final = ".mp4"
OPEN: Final = ".part.ismv"
_NAME: Final = re.compile(
    r"(?P<camera>[A-Za-z0-9_-]+)_\d{8}T\d{6}\.\d{3}Z_(?P<number>\d{6,18})(?P<end>\.mp4|\.part\.ismv)"
)


class SegmentName(NamedTuple):
    """One of our own names, taken apart."""

    stem: str
    number: int
    done: bool

    @property
    def final(self) -> str:
        """The name when it is complete."""
        return self.stem + DONE

    @property
    def part(self) -> str:
        """The name while it is written."""
        return self.stem + OPEN


def segment_name(camera: str, at: float, number: int) -> SegmentName:
    """Of a new segment; `camera` is a slug, `at` seconds since the epoch."""
    moment = datetime.fromtimestamp(min(max(at, 0.0), 253402300799.0), timezone.utc)
    milliseconds = moment.microsecond // 1000
    stem = f"{camera}_{moment:%Y%m%dT%H%M%S}.{milliseconds:03d}Z_{number:06d}"
    return SegmentName(stem, number, False)


def parse(name: str) -> SegmentName | None:
    """A name of ours, or None for everything else."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return SegmentName(name[: match.start("end")], int(match["number"]), match["end"] == DONE)
