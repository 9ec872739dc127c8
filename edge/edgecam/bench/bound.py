"""What holds a frame up, in words, from the medians of its stages."""

from collections.abc import Mapping
from typing import Final

from edgecam.bench.stages import WITHIN, Stages

_WHAT: Final = {
    "prepare": "fitting the frame to the input",
    "infer": "the engine",
    "head": "the class head and its map",
    "overlay": "drawing",
    "publish": "handing over to the outputs",
}
ENCODING: Final = "encoding the video"
_MOST: Final = 0.5  # of a frame, from which one stage is what bounds it


def bound(stages_ms: Mapping[str, float], *, recorded: bool = False) -> str:
    """Which stage, and what the camera loop can make of it, whose stages overlap in three threads.

    Takes the stages by name, those within `infer` too where they are told. What `recorded` frames wait for
    in `publish` is the encoder.
    """
    serial = {stage: stages_ms[stage] for stage in Stages._fields}
    whole = sum(serial.values())
    if whole <= 0:
        return "no stage took any time"
    stage, longest = max(serial.items(), key=lambda item: item[1])
    what = ENCODING if stage == "publish" and recorded else _WHAT[stage]
    share = longest / whole
    first = (
        f"{what} bounds a frame: {share * 100:.0f} % of it"
        if share >= _MOST
        else f"no stage bounds a frame alone; {what} takes most, {share * 100:.0f} %"
    )
    # prepare, infer and head share a thread, overlay and publish another; a camera is read by a process.
    shown = serial["overlay"] + serial["publish"]
    slower = max(whole - shown, shown)
    inside = f". {engine_bound(stages_ms)}" if all(part in stages_ms for part in WITHIN) else ""
    return f"{first}{inside}. In the camera loop drawing overlaps with it: up to {1e3 / slower:.0f} frames/s"


def engine_bound(stages_ms: Mapping[str, float]) -> str:
    """What holds up an engine that tells its stages."""
    enqueue, compute = stages_ms["enqueue"], stages_ms["compute"]
    copies = stages_ms["copy_in"] + stages_ms["copy_out"]
    if enqueue >= max(compute, copies):
        return (
            f"The engine is enqueue-bound: the processor takes {enqueue:.2f} ms to hand over what the device "
            f"does in {compute:.2f} ms; higher processor clocks help, a faster GPU does not"
        )
    if copies > compute:
        return (
            f"The engine is bound by transfers: copying takes {copies:.2f} ms, computing {compute:.2f} ms; "
            f"a smaller input helps"
        )
    return f"The engine is bound by what the device computes, {compute:.2f} ms"
