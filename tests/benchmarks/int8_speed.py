"""The processor time of INT8 against FP32 for one frame, on this machine's CPU.

    python tests/benchmarks/int8_speed.py BUNDLE [--rounds 15] [--frames 20]

In each round every engine answers the same frames with one thread, so a busy machine slows all alike; ratios
are taken within a round. Compute only: no camera, no overlay.
"""

import argparse
import time
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
from table import show

from edgecam_engines.bundle import open_bundle
from edgecam_engines.engine import Engine, Frames
from edgecam_engines.onnxruntime import OnnxRuntimeEngine

NAMES = ("fp32", "int8-cpu", "mixed-cpu")


def cpu_ms(engine: Engine, frames: Frames) -> float:
    """Mean processor time of one frame."""
    began = time.process_time()
    for frame in frames:
        engine.infer(frame[None])
    return 1000 * (time.process_time() - began) / len(frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--frames", type=int, default=20, help="of each round")
    asked = parser.parse_args()
    bundle = open_bundle(asked.bundle)
    models = {name: file for name, file in bundle.manifest.models.items() if name in NAMES}
    shape = (asked.frames, *bundle.input_hw, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with ExitStack() as stack:
        engines = {
            name: stack.enter_context(closing(OnnxRuntimeEngine(bundle.path / file, name=name)))
            for name, file in models.items()
        }
        for engine in engines.values():
            cpu_ms(engine, frames)  # warms up
        spent = {name: [] for name in engines}
        for _ in range(asked.rounds):
            for name, engine in engines.items():
                spent[name].append(cpu_ms(engine, frames))
    base = np.array(spent["fp32"])
    ratios = {name: np.percentile(np.array(ms) / base, [50, 0, 100]) for name, ms in spent.items()}
    h, w = bundle.input_hw
    show(
        f"{bundle.path.name} at {h} x {w}, one thread, {asked.rounds} rounds",
        ("engine", "CPU ms a frame", "of FP32 (median)", "lowest to highest"),
        [
            (name, f"{np.median(spent[name]):.2f}", f"{middle:.3f}", f"{low:.3f} to {high:.3f}")
            for name, (middle, low, high) in ratios.items()
        ],
        {
            "benchmark": "int8_speed",
            "of_fp32": {name: round(float(middle), 3) for name, (middle, _, _) in ratios.items()},
        },
    )


if __name__ == "__main__":
    main()
