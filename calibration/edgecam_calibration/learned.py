"""What quantization-aware training leaves in a run: a graph made to be rounded, and the ranges it learned."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from edgecam_calibration.quantize import PLAIN, Calibration, Profile
from edgecam_engines.engine import Frames
from edgecam_engines.errors import TrainingError
from edgecam_engines.files import sha256_of, write_json

LEARNED_GRAPH: Final = "qat.onnx"
_RANGES: Final = "qat.json"

Grids = dict[str, tuple[float, int]]  # a tensor's name -> its scale and zero point


@dataclass(frozen=True)
class Learned:
    """INT8 models are made from this instead of from the run's FP32 graph and calibrated ranges."""

    graph: Path  # float weights that are meant to be rounded; not the run's FP32 model
    grids: dict[str, Grids]  # by profile


def write_learned(learned: Learned, profile: Profile, path: Path, batches: Iterable[Frames]) -> None:
    """Write an INT8 model with the ranges that were learned for this profile.

    `batches` are calibration frames for tensors that no range was learned for; one batch is plenty.
    """
    calibration = Calibration(learned.graph, islice(batches, 1))
    low, high = (-127, 127) if profile.signed else (0, 255)
    ranges = {
        name: ((low - zero) * scale, (high - zero) * scale)
        for name, (scale, zero) in learned.grids.get(profile.name, {}).items()
    }
    calibration.write(profile, path, recipe=PLAIN, ranges=ranges)


def save_learned(learned: Learned) -> None:
    """Write the ranges beside the graph, bound to it by its hash. Raises OutputError."""
    ranges = {
        profile: {name: {"scale": scale, "zero_point": zero} for name, (scale, zero) in grids.items()}
        for profile, grids in learned.grids.items()
    }
    document = {"graph_sha256": sha256_of(learned.graph), "profiles": ranges}
    write_json(learned.graph.with_name(_RANGES), document)


def find_learned(run: Path) -> Learned | None:
    """What the run learned about rounding; None where it learned nothing. Raises TrainingError."""
    graph, ranges = run / LEARNED_GRAPH, run / _RANGES
    if not ranges.exists():
        return None
    try:
        document = json.loads(ranges.read_text(encoding="utf-8"))
        if document["graph_sha256"] != sha256_of(graph):
            raise ValueError(f"{graph.name} is not the graph that they were learned for")
        grids = {
            profile: {name: (float(g["scale"]), int(g["zero_point"])) for name, g in own.items()}
            for profile, own in document["profiles"].items()
        }
        if any(not 0 < scale < float("inf") for own in grids.values() for scale, _ in own.values()):
            raise ValueError("a scale is not a positive number")
        return Learned(graph, grids)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(
            f"The ranges in {ranges} cannot be used: {error}.\n"
            f"Learn them again with `edgecam train --qat`, or remove {ranges.name} to build without them."
        ) from error
