"""What INT8 does to the maps of a run, layer by layer and block by block, and which plan follows.

    python tests/benchmarks/sensitivity.py RUN [--profile cpu|tensorrt] [--photos 32] [--picture FILE.png]

`build-engine` looks into harmful blocks alone, on 16 photos. This measures every layer in both directions on
as many photos as asked for: in INT8 alone with the rest in float, and in float alone with the rest in INT8.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from table import show

from edgecam_calibration.build import CALIBRATION_PHOTOS
from edgecam_calibration.choose import choose
from edgecam_calibration.mixed.search import plan_for
from edgecam_calibration.mixed.sensitivity import Harm, Sensitivity, measure
from edgecam_calibration.mixed.write import BATCH, CHECKED, open_chain
from edgecam_calibration.mixed.yardstick import Target
from edgecam_calibration.models import batches_of, input_hw_of
from edgecam_calibration.quantize import TENSORRT, Calibration, cpu_profile
from edgecam_calibration.run import open_run, still_there


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--profile", choices=("cpu", "tensorrt"), default="cpu")
    parser.add_argument("--photos", type=int, default=32, help="to compare layers by")
    parser.add_argument("--min-cam-iou", type=float, default=0.95)
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    run = open_run(asked.run)
    profile = TENSORRT if asked.profile == "tensorrt" else cpu_profile()
    photos = still_there(run.train, "calibration")
    calibrators = choose(photos, CALIBRATION_PHOTOS, rng=np.random.default_rng(0))
    hw = input_hw_of(run.model)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        rounded = Path(folder) / "int8.onnx"
        calibration = Calibration(run.model, batches_of(calibrators, hw))
        calibration.write(profile, rounded)
        chain = open_chain(calibration, rounded, profile)
    calibrated = time.process_time()
    batches = list(batches_of(calibrators, hw, BATCH))
    found = measure(chain, run.head, batches[: asked.photos // BATCH], every_layer=True)
    measured = time.process_time()
    target = Target(asked.min_cam_iou, max(0.0, 2 * asked.min_cam_iou - 1))
    plan = plan_for(chain, run.head, found, batches[-CHECKED // BATCH :], profile=profile.name, target=target)
    planned = time.process_time()
    whole = sum(block.macs for block in found.blocks)
    kept = {item.name for item in plan.kept}
    show(
        f"{profile.name}, error {found.int8:.3f} with everything in INT8 ({found.photos} photos)",
        ("what", "MACs", "error in INT8 alone", "error when spared alone", "plan"),
        [_row(item, whole, kept) for item in _nested(found)],
        {
            "benchmark": "sensitivity",
            "profile": profile.name,
            "int8_error": round(found.int8, 4),
            "photos": found.photos,
            "plan": plan.reason,
            "kept_macs_share": round(plan.macs_share, 4),
            "calibrate_cpu_s": round(calibrated - began, 1),
            "measure_cpu_s": round(measured - calibrated, 1),
            "plan_cpu_s": round(planned - measured, 1),
        },
    )
    print("\n".join(plan.lines()))
    if asked.picture:
        draw(found, kept, asked.picture)


def _nested(found: Sensitivity) -> list[Harm]:
    """Each block, and under it its layers."""
    return [
        item
        for block in found.blocks
        for item in (block, *(layer for layer in found.layers if layer.block == block.name))
    ]


def _row(item: Harm, whole: int, kept: set[str]) -> tuple[str, ...]:
    name = item.name if item.name == item.block else f"  {item.name}"
    mark = "float" if item.name in kept else ""
    return name, f"{item.macs / whole:.1%}", f"{item.alone:.4f}", f"{item.spared:.4f}", mark


def draw(found: Sensitivity, kept: set[str], path: Path) -> None:
    """Both errors of every layer, in the order of the graph; what stays in float is orange."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    items = found.items()
    at = np.arange(len(items))
    colours = ["#d97706" if item.name in kept or item.block in kept else "#64748b" for item in items]
    figure, (above, below) = plt.subplots(2, 1, figsize=(12, 7), sharex=True, layout="constrained")
    above.bar(at, [item.alone for item in items], color=colours)
    above.set(ylabel="error in INT8 alone", title="What INT8 does to the class maps (orange: stays in float)")
    below.bar(at, [item.spared - found.int8 for item in items], color=colours)
    below.axhline(0, color="black", linewidth=0.8)
    below.set(ylabel="change of error when spared alone")
    below.set_xticks(at, [item.name for item in items], rotation=90, fontsize=7)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
