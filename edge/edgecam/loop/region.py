"""The part of a frame that the engine looks at."""

import re
from typing import Final, NamedTuple

from edgecam_engines.errors import SourceError
from edgecam_engines.geometry import Box

_DECIMAL: Final = re.compile(r"\d*\.?\d+")


class Region(NamedTuple):
    """As it was asked for: pixels, or parts of the frame's sides where no number is above 1."""

    left: float
    top: float
    width: float
    height: float

    def within(self, frame_hw: tuple[int, int]) -> Box:
        """Its pixels in a frame, cut off at the frame's sides. Raises SourceError when none are left."""
        height, width = frame_hw
        sx, sy = (width, height) if max(self) <= 1 else (1, 1)
        box = Box(
            round(self.left * sx),
            round(self.top * sy),
            min(width, round((self.left + self.width) * sx)),
            min(height, round((self.top + self.height) * sy)),
        )
        if box.left >= box.right or box.top >= box.bottom:
            raise SourceError(
                f"Nothing of --roi {','.join(f'{side:g}' for side in self)} lies inside a frame of "
                f"{width} x {height} pixels.\n"
                f"Write left,top,width,height: --roi 0.25,0.25,0.5,0.5 is the middle of any frame."
            )
        return box


def parse_region(text: str) -> Region:
    """Read "left,top,width,height" that lies in some frame. Raises SourceError."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == 4 and all(map(_DECIMAL.fullmatch, parts)):
        region = Region(*map(float, parts))
        begins_inside = max(region) > 1 or (region.left < 1 and region.top < 1)
        if region.width > 0 and region.height > 0 and begins_inside:
            return region
    raise SourceError(
        f"--roi takes left,top,width,height, in pixels or as parts of the frame, not {text!r}.\n"
        f"The middle of any frame: --roi 0.25,0.25,0.5,0.5"
    )
