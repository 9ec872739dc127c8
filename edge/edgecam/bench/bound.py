"""What holds a frame up, in words, from the medians of its stages."""

from collections.abc import Mapping
from typing import Final

_WHAT: Final = {
    "prepare": "fitting the frame to the input",
    "infer": "the engine",
    "head": "the class head and its map",
    "overlay": "drawing",
}
_MOST: Final = 0.5  # of a frame, from which one stage is what bounds it


def bound(stages_ms: Mapping[str, float]) -> str:
    """Which stage, and what the camera loop can make of it, whose stages overlap in three threads."""
    whole = sum(stages_ms.values())
    if whole <= 0:
        return "no stage took any time"
    stage, longest = max(stages_ms.items(), key=lambda item: item[1])
    share = longest / whole
    first = (
        f"{_WHAT[stage]} bounds a frame: {share * 100:.0f} % of it"
        if share >= _MOST
        else f"no stage bounds a frame alone; {_WHAT[stage]} takes most, {share * 100:.0f} %"
    )
    # prepare, infer and head share a thread, overlay has its own; reading a camera is not measured here.
    slower = max(whole - stages_ms["overlay"], stages_ms["overlay"])
    return f"{first}. In the camera loop drawing overlaps with it: up to {1e3 / slower:.0f} frames/s"
