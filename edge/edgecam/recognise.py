"""From one captured frame to one result: fit, infer, rank, and point."""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgecam.result import TOP, UNKNOWN, Result
from edgecam.sources.source import Shot
from edgecam_engines import cam, geometry
from edgecam_engines.engine import Engine
from edgecam_engines.errors import EngineError
from edgecam_engines.geometry import Box
from edgecam_engines.head import Head


def recognise(
    shot: Shot, engine: Engine, head: Head, threshold: float, now: Callable[[], float] = time.monotonic
) -> Result:
    """The answer about one frame. Raises EngineError when the engine's numbers are not finite."""
    features = engine.infer(geometry.fit(shot.frame, engine.input_hw)[None])
    logits = head.logits(features)
    probabilities = head.probabilities(logits)[0]
    if not np.isfinite(probabilities).all():
        raise EngineError(
            f"The engine {engine.name} gave numbers that are not finite for frame {shot.number}.\n"
            f"Measure it with `edgecam eval`, or build it again with `edgecam build-engine --precision fp32`."
        )
    top = tuple(head.ranked(probabilities, TOP))
    box, heat = None, None
    known = top[0].confidence >= threshold and bool(head.known(features, logits)[0])
    if known:
        box, heat = _where(head.cam(features, [top[0].class_index])[0], engine.input_hw, shot.frame.shape[:2])
    return Result(
        frame=shot.number,
        captured_at=shot.captured_at,
        age_ms=(now() - shot.captured) * 1e3,
        skipped=shot.skipped,
        label=top[0].label if known else UNKNOWN,
        confidence=top[0].confidence,
        box=box,
        top=top,
        heat=heat,
    )


def _where(
    raw: NDArray[np.float32], input_hw: tuple[int, int], frame_hw: tuple[int, ...]
) -> tuple[Box | None, NDArray[np.uint8] | None]:
    """Box and heat of a map (gh, gw), found at the input's size: the frame's would cost twenty times more."""
    level = cam.normalise(geometry.map_to(raw, input_hw))
    box = cam.largest_box(level > cam.MASK_LEVEL)
    if box is None:
        return None, None
    height, width = frame_hw[:2]
    return geometry.scale_box(box, input_hw, (height, width)), np.rint(level * 255).astype(np.uint8)
