"""The stages of a query, in the order in which a frame passes them, and why some are not told.

capture     from a camera's grab to the frame in hand     a real camera alone
prepare     fitting frames to the input
infer       the engine's call, as the loop sees it
  copy_in     frames to where the device reads them       engines that tell (`Staged`)
  enqueue     the host's calls that hand work over, while the device works already
  compute     the device alone
  copy_out    features to where the class head reads them
head        logits, ranking, the best class's map and its box
overlay     heat, box and words drawn on the frame
publish     the hand-over to outputs: a JSON line, and the recording where there is one
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from edgecam.bench.names import CAMERA
from edgecam.bench.timing import Floats
from edgecam_engines.engine import EngineStages

CAPTURE: Final = "capture"
WITHIN: Final = EngineStages._fields  # what `infer` consists of
LABELS: Final = {
    "head": "head and map",
    "copy_in": "  copy in",
    "enqueue": "  enqueue",
    "compute": "  compute",
    "copy_out": "  copy out",
}


class Stages(NamedTuple):
    """One query's way, or many queries'. Seconds, one after another."""

    prepare: float
    infer: float
    head: float
    overlay: float
    publish: float


class Times(NamedTuple):
    """All stages of a run's queries. Seconds."""

    loop: Floats  # (n, 5), a column for each of Stages
    engine: Floats | None = None  # (n, 4), a column for each of WITHIN, where the engine tells
    capture: Floats | None = None  # (n,), where frames came from a camera

    def columns(self) -> Iterator[tuple[str, Floats]]:
        """By name, (n,) each, in the order of the table above."""
        if self.capture is not None:
            yield CAPTURE, self.capture
        for name, column in zip(Stages._fields, self.loop.T, strict=True):
            yield name, column
            if name == "infer" and self.engine is not None:
                yield from zip(WITHIN, self.engine.T, strict=True)


def left_out(times: Times, scenario: str, *, on_cpu: bool) -> dict[str, str]:
    """What is not in `times`, each with the reason in words."""
    found: dict[str, str] = {}
    if times.capture is None:
        found[CAPTURE] = (
            "frames were made in memory, --camera URI reads a camera"
            if scenario == CAMERA
            else "nothing is captured but by --scenario camera --camera URI"
        )
    if times.engine is None:
        why = (
            "the processor works on frames where they lie, so all of infer is compute"
            if on_cpu
            else "this back end copies and computes in one call, --backend tensorrt tells them apart"
        )
        found |= dict.fromkeys(WITHIN, why)
    return found


def in_words(missing: dict[str, str]) -> list[str]:
    """A line for each reason."""
    by_reason: dict[str, list[str]] = {}
    for stage, why in missing.items():
        by_reason.setdefault(why, []).append(stage.replace("_", " "))
    return [f"Not told: {', '.join(stages)} ({why})" for why, stages in by_reason.items()]
