"""How old an answer is: a camera of 30 frames/s before an engine that manages 10, in the real loop.

    python tests/benchmarks/freshness.py [--seconds 600] [--fps 30] [--engine-fps 10]

The engine is the fixed one, made to take as long as asked. Ages are from capture to answer, as every result
says and every frame proves.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
from table import show

from edgecam import live
from edgecam.settings import RunSettings
from edgecam_engines.engine import Features, Frames
from edgecam_engines.fixed import FixedEngine

sys.path.insert(0, str(Path(__file__).parents[1]))
from edge.loop_kit import make_bundle  # the tests' own kit
from faults.sources import OPENER
from faults.witness import Witness, beside


class Slowed(FixedEngine):
    """Takes a fixed time for each call."""

    takes_s = 0.1

    def infer(self, frames: Frames, /) -> Features:
        began = time.monotonic()
        features = super().infer(frames)
        time.sleep(max(0.0, began + self.takes_s - time.monotonic()))
        return features


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--engine-fps", type=float, default=10.0)
    asked = parser.parse_args()
    os.environ.pop("DISPLAY", None)
    Slowed.takes_s = 1 / asked.engine_fps
    until = time.monotonic() + asked.seconds
    witness = Witness(lambda _: time.monotonic() > until)
    with tempfile.TemporaryDirectory() as folder, beside(witness):
        bundle = make_bundle(Path(folder) / "colours.edgecam")
        settings = RunSettings(bundle, (f"scripted://?fps={asked.fps}&hw=720x1280",))
        with patch("edgecam_engines.fixed.FixedEngine", Slowed):
            live.run(settings, opener=OPENER)
    (status,) = [witness.last(camera) for camera in witness.frames]
    p50, p99, longest = np.percentile(witness.ages_ms, [50, 99, 100])
    show(
        f"{asked.fps:g} frames/s at 720p, an engine of {asked.engine_fps:g}, {asked.seconds:g} s",
        ("age ms: median", "p99", "oldest", "captured", "processed", "skipped"),
        [(f"{p50:.1f}", f"{p99:.1f}", f"{longest:.1f}", status.captured, status.processed, status.skipped)],
        {
            "benchmark": "freshness",
            "age_ms": {"p50": round(p50, 1), "p99": round(p99, 1), "max": round(longest, 1)},
            "captured": status.captured,
            "processed": status.processed,
            "skipped": status.skipped,
        },
    )
    assert status.captured == status.processed + status.skipped


if __name__ == "__main__":
    main()
