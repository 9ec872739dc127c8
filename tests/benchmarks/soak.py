"""What the loop holds after very many frames: memory, file descriptors, threads, names in /dev/shm.

    python tests/benchmarks/soak.py [--frames 100000] [--hw 64x64]

The real loop with a reader process and the fixed engine, as fast as it goes. Every frame proves that it is
whole, new and counted. Growth is from the second tenth of the run to its last.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from table import show

sys.path.insert(0, str(Path(__file__).parents[1]))
from edge.loop_kit import make_bundle  # the tests' own kit
from faults.soak import Sample, growth, soak


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--hw", default="64x64", help="height x width of a frame")
    asked = parser.parse_args()
    os.environ.pop("DISPLAY", None)
    with tempfile.TemporaryDirectory() as folder:
        metered = soak(make_bundle(Path(folder) / "colours.edgecam"), asked.frames, asked.hw)
    (status,) = [metered.last(camera) for camera in metered.frames]
    samples = metered.samples
    grown = {
        name: growth(samples, lambda sample, name=name: getattr(sample, name))  # type: ignore[misc]
        for name in Sample._fields
        if name != "frames"
    }
    tenth = max(1, len(samples) // 10)
    show(
        f"{status.processed} frames of {asked.hw}, {status.skipped} skipped, {status.captured} captured",
        ("what", "early", "late", "growth"),
        [
            (
                name,
                f"{getattr(samples[tenth], name):.0f}",
                f"{getattr(samples[-1], name):.0f}",
                f"{part:+.2%}",
            )
            for name, part in grown.items()
        ],
        {
            "benchmark": "soak",
            "frames": status.processed,
            "skipped": status.skipped,
            "captured": status.captured,
            "growth_percent": {name: round(100 * part, 3) for name, part in grown.items()},
        },
    )


if __name__ == "__main__":
    main()
