"""Both INT8 profiles of the default backbone with its own ImageNet classifier, on photos of the world.

    python tests/benchmarks/imagenet_int8.py --photos DIR [--limit 300] [--calibrators 128] [--hw 224 224]

The photos need no labels: what is measured is whether INT8 says what FP32 says, among 1,000 classes, and
points where it points. Calibration photos and judged ones are drawn apart. Agreement is also given for the
photos of which FP32 is sure: where it hesitates between two of 1,000 classes, any rounding may tip it.
"""

import argparse
import tempfile
from contextlib import closing
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from table import show
from torch import Tensor, nn

from edgecam_calibration.evaluate import Labelled
from edgecam_calibration.intervals import wilson
from edgecam_calibration.maps import cam_ious
from edgecam_calibration.models import batches_of
from edgecam_calibration.quantize import PLAIN, TENSORRT, Recipe, cached_calibration, cpu_profile
from edgecam_engines.engine import Features, Frames
from edgecam_engines.geometry import fit_batch
from edgecam_engines.head import Head
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_engines.photo import is_photo, read_photo
from edgecam_training.backbone import lite0_classifier
from edgecam_training.export import ready_to_run, write_graph

SURE: Final = 0.5  # of FP32's probability
STEPS: Final = {
    "plain min-max": replace(PLAIN, ranges="min-max", float_stem=False),
    "default": Recipe(),
}


class Classifier(nn.Module):
    """uint8 (n, h, w, 3) BGR -> features (n, 1280, h/32, w/32) before the pooling."""

    def __init__(self) -> None:
        super().__init__()
        net = lite0_classifier(pretrained=True).eval().requires_grad_(False)
        self.features = ready_to_run(net.features)
        first = next(m for m in self.features.modules() if isinstance(m, nn.Conv2d))
        first.weight.data = (first.weight / 128).flip(1).contiguous()

    def forward(self, frames: Tensor) -> Tensor:
        return self.features(frames.permute(0, 3, 1, 2).float() - 127)


def imagenet_head() -> Head:
    linear = lite0_classifier(pretrained=True).classifier[1]
    assert isinstance(linear, nn.Linear)
    weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
    return Head(weight, bias, tuple(str(k) for k in range(len(weight))))


def features_of(path: Path, frames: Frames, *, fuse: bool = True) -> Features:
    with closing(OnnxRuntimeEngine(path, name="it", fuse=fuse)) as engine:
        return np.concatenate([engine.infer(frames[i : i + 8]) for i in range(0, len(frames), 8)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--calibrators", type=int, default=128)
    parser.add_argument("--hw", type=int, nargs=2, default=(224, 224))
    asked = parser.parse_args()
    found = sorted(path for path in asked.photos.rglob("*") if is_photo(path))
    drawn = [found[i] for i in np.random.default_rng(0).permutation(len(found))]
    calibrators, judges = drawn[: asked.calibrators], drawn[asked.calibrators :][: asked.limit]
    hw, head = (asked.hw[0], asked.hw[1]), imagenet_head()
    frames = fit_batch([read_photo(path) for path in judges], hw)
    rows, documents = [], []
    with tempfile.TemporaryDirectory() as folder:
        fp32 = Path(folder) / "fp32.onnx"
        free = ({0: torch.export.Dim("n", min=1, max=1024)},)
        example = (torch.zeros(2, *hw, 3, dtype=torch.uint8),)
        write_graph(Classifier(), example, fp32, inputs=["frames"], outputs=["features"], dynamic_shapes=free)
        calibration = cached_calibration(
            fp32, calibrators, lambda: batches_of([Labelled(path, 0) for path in calibrators], hw)
        )
        truth = features_of(fp32, frames)
        said = head.probabilities(head.logits(truth))
        called, sure = said.argmax(axis=1), said.max(axis=1) >= SURE
        maps = head.cam(truth, called)
        profiles = (TENSORRT, cpu_profile(), replace(cpu_profile(), reduce_range=True))
        for profile, (step, recipe) in product(profiles, STEPS.items()):
            path = Path(folder) / "int8.onnx"
            calibration.write(profile, path, recipe=recipe)
            given = features_of(path, frames, fuse=not profile.signed)
            same = head.logits(given).argmax(axis=1) == called
            ious = cam_ious(maps, head.cam(given, called), hw)
            name = "TensorRT, in float" if profile.signed else "CPU" + " 7 bit" * profile.reduce_range
            rows.append([name, step, *row(same, sure, ious)])
            documents.append({"profile": name, "step": step, **document(same, sure, ious)})
    header = (
        "profile",
        "step",
        "agreement",
        "95 %",
        f"where FP32 is sure ({SURE:.0%})",
        "CAM IoU",
        "10th pct",
        "n",
    )
    show(
        f"INT8 against FP32, 1,000 classes, {len(calibrators)} photos calibrate",
        header,
        rows,
        {"profiles": documents},
    )


def row(same: Any, sure: Any, ious: Any) -> list[object]:
    low, high = wilson(int(same.sum()), len(same))
    told = [f"{same.mean():.1%}", f"{low:.1%} to {high:.1%}", f"{same[sure].mean():.1%} (n {sure.sum()})"]
    return [*told, f"{ious.mean():.3f}", f"{np.quantile(ious, 0.1):.3f}", len(same)]


def document(same: Any, sure: Any, ious: Any) -> dict[str, Any]:
    return {
        "agreement": float(same.mean()),
        "agreement_where_sure": float(same[sure].mean()),
        "cam_iou_mean": float(ious.mean()),
        "cam_iou_p10": float(np.quantile(ious, 0.1)),
        "n": len(same),
    }


if __name__ == "__main__":
    main()
