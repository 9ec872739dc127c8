"""What each step of the calibration buys, in both INT8 profiles, against FP32 on photos nobody trained on.

    python tests/benchmarks/int8.py --run RUN [--photos DIR] [--limit 300] [--only NAME ...]

One pass over the calibration photos serves every row. The CPU profile is judged by the kernels that it ships
with, the TensorRT profile with its Q/DQ pairs computed in float. The photos are the run's validation photos,
or a folder of class folders.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from rich.console import Console
from table import show

from edgecam_calibration.build import CALIBRATION_PHOTOS
from edgecam_calibration.choose import choose, without_judges
from edgecam_calibration.evaluate import Labelled, PhotoFrames, load_labelled
from edgecam_calibration.gate import Bounds, Reference, Verdict, judge, refer
from edgecam_calibration.models import batches_of, input_hw_of
from edgecam_calibration.quantization.layers import LayerError, table
from edgecam_calibration.quantize import (
    TENSORRT,
    Calibration,
    Profile,
    Recipe,
    cached_calibration,
    cpu_profile,
)
from edgecam_calibration.run import Run, open_run
from edgecam_engines.onnxruntime import OnnxRuntimeEngine

PLAIN: Final = Recipe(
    "min-max", equalized=False, rounding="nearest", centred=False, bias_correction=False, float_stem=False
)
EQUAL: Final = replace(PLAIN, ranges="mse", equalized=True)
OUTPUTS: Final = replace(EQUAL, rounding="outputs")
CENTRED: Final = replace(OUTPUTS, centred=True)
STEM: Final = replace(CENTRED, float_stem=True)
STEPS: Final[dict[str, Recipe]] = {
    "plain min-max": PLAIN,
    "percentile 99.99": replace(PLAIN, ranges="percentile"),
    "entropy": replace(PLAIN, ranges="entropy"),
    "MSE": replace(PLAIN, ranges="mse"),
    "MSE + equalization": EQUAL,
    "  + bias by the weights' mean error": replace(EQUAL, rounding="nearest-mean"),
    "  + the same and MSE weights": replace(EQUAL, rounding="mse-mean"),
    "  + weights rounded by outputs": OUTPUTS,
    "    + centred after ReLU6": CENTRED,
    "      + stem in float (the default)": STEM,
    "        + empirical bias correction": replace(STEM, bias_correction=True),
}
HEADER: Final = ("profile", "step", "top-1 change", "agreement", "CAM IoU", "10th pct", "n")


def first_nodes(model: Path, convolutions: int) -> list[str]:
    """Names of the first convolutions and of what stands between them."""
    names: list[str] = []
    left = convolutions
    for node in onnx.load(model).graph.node:
        if not left:
            break
        left -= node.op_type == "Conv"
        names.append(node.name)
    return names


class Bench:
    """One run, one calibration, one set of photos to judge by."""

    def __init__(
        self,
        run: Run,
        photos: Sequence[Labelled],
        calibrators: list[Labelled],
        *,
        reference: Reference | None = None,
    ) -> None:
        self.run, self.calibrators = run, calibrators
        self.calibration = calibrated(run, calibrators)
        self.reference = reference or reference_of(run, photos)

    def judge(self, profile: Profile, recipe: Recipe, kept: list[str]) -> Verdict:
        """Write a profile and measure it as it would be deployed; TensorRT's in float."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            self.calibration.write(profile, path, kept=kept, recipe=recipe)
            with closing(OnnxRuntimeEngine(path, name=profile.name, fuse=not profile.signed)) as engine:
                return judge(
                    engine, self.run.head, self.reference, Bounds(), precision="int8", backend=profile.name
                )

    def layers(self, profiles: Sequence[Profile]) -> dict[str, list[LayerError]]:
        """The error of each convolution, by profile."""
        found = {}
        with tempfile.TemporaryDirectory() as folder:
            for profile in profiles:
                path = Path(folder) / "model.onnx"
                self.calibration.write(profile, path)
                found[_called(profile)] = self.calibration.layer_errors(profile, path)
        return found

    def row(self, step: str, profile: Profile, verdict: Verdict) -> tuple[list[object], dict[str, Any]]:
        """For people and for scripts."""
        change = 100 * (verdict.top1.value - self.reference.top1.value)
        name = _called(profile)
        cells = [name, step, f"{change:+.1f}", f"{verdict.agreement.value:.1%}"]
        cells += [f"{verdict.cam_iou.mean:.3f}", f"{verdict.cam_iou.p10:.3f}", str(verdict.n)]
        document = {
            "profile": name,
            "step": step,
            "top1_change_points": change,
            "agreement": verdict.agreement.value,
            "cam_iou_mean": verdict.cam_iou.mean,
            "cam_iou_p10": verdict.cam_iou.p10,
            "n": verdict.n,
        }
        return [*cells], document


def _called(profile: Profile) -> str:
    return "TensorRT, in float" if profile.signed else "CPU" + (" 7 bit" if profile.reduce_range else "")


def calibrated(run: Run, calibrators: list[Labelled]) -> Calibration:
    """From the same cache as build-engine."""
    hw = input_hw_of(run.model)
    return cached_calibration(run.model, [p.path for p in calibrators], lambda: batches_of(calibrators, hw))


def reference_of(run: Run, photos: Sequence[Labelled]) -> Reference:
    """FP32's answers."""
    with closing(OnnxRuntimeEngine(run.model, name="fp32")) as fp32:
        frames = PhotoFrames(photos, fp32.input_hw)
        held = [*frames]
        return refer(fp32, run.head, held, np.asarray(frames.labels, np.int64))


def judged_photos(run: Run, folder: Path | None, limit: int) -> list[Labelled]:
    """The run's validation photos or a folder's, `limit` of them at random."""
    photos = run.val if folder is None else load_labelled(folder, run.head.classes)
    order: NDArray[np.int64] = np.random.default_rng(0).permutation(len(photos))[:limit]
    return [photos[i] for i in sorted(order)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--float-first", type=int, default=3, help="convolutions left in float in a last row")
    parser.add_argument("--only", nargs="*", default=[""], help="steps whose names contain one of these")
    parser.add_argument("--layers", action="store_true", help="and the error of each layer")
    parser.add_argument("--seven-bits", action="store_true", help="and the CPU profile without VNNI")
    options = parser.parse_args()
    run = open_run(options.run)
    photos = judged_photos(run, options.photos, options.limit)
    given = without_judges(run.train, [photo.path for photo in photos])
    bench = Bench(run, photos, choose(given, CALIBRATION_PHOTOS, rng=np.random.default_rng(0)))
    profiles = [TENSORRT, cpu_profile()]
    profiles += [replace(cpu_profile(), reduce_range=True)] if options.seven_bits else []
    some = first_nodes(run.model, options.float_first)
    steps = [(name, recipe, list[str]()) for name, recipe in STEPS.items()]
    steps += [(f"default, first {options.float_first} convolutions in float", Recipe(), some)]
    steps = [step for step in steps if any(part in step[0] for part in options.only)]
    rows, documents = [], []
    for profile in profiles:
        for name, recipe, kept in steps:
            verdict = bench.judge(profile, recipe, kept)
            row, document = bench.row(name, profile, verdict)
            rows.append(row)
            documents.append(document)
            print(*row, sep=" | ", file=sys.stderr, flush=True)
    title = f"INT8 against FP32 ({bench.reference.top1.value:.1%} top-1), {len(bench.calibrators)} photos"
    show(title, HEADER, rows, {"steps": documents})
    if options.layers:
        Console(width=120).print(table(bench.layers(profiles)))


if __name__ == "__main__":
    main()
