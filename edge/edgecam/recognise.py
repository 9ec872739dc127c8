"""From captured frames to results: fit, infer, rank, and point."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam.result import TOP, UNKNOWN, Result
from edgecam.sources.source import Shot
from edgecam_engines import cam, geometry
from edgecam_engines.engine import Engine, Features, Frame
from edgecam_engines.errors import EngineError
from edgecam_engines.geometry import Box
from edgecam_engines.head import Head

Heat = NDArray[np.uint8]


class Look(NamedTuple):
    """A frame, and what of it is looked at."""

    shot: Shot
    region: Box | None = None  # the engine sees this part alone; None: the whole frame
    camera: str = ""

    def view(self) -> Frame:
        """What the engine sees, not yet fitted to its input."""
        if self.region is None:
            return self.shot.frame
        left, top, right, bottom = self.region
        return self.shot.frame[top:bottom, left:right]


def recognise(
    shot: Shot, engine: Engine, head: Head, threshold: float, now: Callable[[], float] = time.monotonic
) -> Result:
    """The answer about one frame. Raises EngineError when the engine's numbers are not finite."""
    return recognise_all([Look(shot)], engine, head, threshold, now)[0]


def recognise_all(
    looks: Sequence[Look],
    engine: Engine,
    head: Head,
    threshold: float,
    now: Callable[[], float] = time.monotonic,
) -> list[Result]:
    """The answers about frames of any sizes, in one call of the engine. Raises EngineError as `recognise`."""
    views = [geometry.fit(look.view(), engine.input_hw) for look in looks]
    features = engine.infer(views[0][None] if len(views) == 1 else np.stack(views))
    logits = head.logits(features)
    probabilities, known = head.probabilities(logits), head.known(features, logits)
    for look, row in zip(looks, probabilities, strict=True):
        if not np.isfinite(row).all():
            raise EngineError(
                f"The engine {engine.name} gave numbers that are not finite for frame {look.shot.number}.\n"
                f"Measure it with `edgecam eval`, or build it again with "
                f"`edgecam build-engine --precision fp32`."
            )
    return [
        _answer(
            look, features[i : i + 1], probabilities[i], bool(known[i]), engine.input_hw, head, threshold, now
        )
        for i, look in enumerate(looks)
    ]


def _answer(
    look: Look,
    features: Features,
    probabilities: NDArray[np.float32],
    fits: bool,
    input_hw: tuple[int, int],
    head: Head,
    threshold: float,
    now: Callable[[], float],
) -> Result:
    top = tuple(head.ranked(probabilities, TOP))
    box, heat = None, None
    known = fits and top[0].confidence >= threshold
    if known:
        box, heat = _where(head.cam(features, [top[0].class_index])[0], input_hw, look)
    shot = look.shot
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
        probabilities=probabilities,
        classes=head.classes,
        camera=look.camera,
        rejected=not fits,
        captured=shot.captured,
        features=features,
    )


def _where(raw: NDArray[np.float32], input_hw: tuple[int, int], look: Look) -> tuple[Box | None, Heat | None]:
    """Box and heat of a map (gh, gw), found at the input's size: the frame's would cost twenty times more."""
    level = cam.normalise(geometry.map_to(raw, input_hw))
    box = cam.largest_box(level > cam.MASK_LEVEL)
    if box is None:
        return None, None
    height, width = look.view().shape[:2]
    box = geometry.scale_box(box, input_hw, (height, width))
    heat = np.rint(level * 255).astype(np.uint8)
    if look.region is None:
        return box, heat
    left, top = look.region[:2]
    moved = Box(box.left + left, box.top + top, box.right + left, box.bottom + top)
    return moved, _in_whole_frame(heat, look.region, look.shot.frame)


def _in_whole_frame(heat: Heat, region: Box, frame: Frame) -> Heat:
    """The heat of a part of the frame, in a map of the same size for all of it; 0 outside the part."""
    h, w = heat.shape
    at = geometry.scale_box(region, (frame.shape[0], frame.shape[1]), (h, w))
    whole = np.zeros_like(heat)
    size = (at.right - at.left, at.bottom - at.top)
    whole[at.top : at.bottom, at.left : at.right] = cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR)
    return whole
