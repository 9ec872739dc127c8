"""Any network that the trainer can make, as the files of a bundle, through NVIDIA's parser and compiler.

The compiler runs on a processor and its target is SM86: it proves that the graph compiles, not how an Orin
(SM87) runs it. Weights are random; what is compiled does not depend on them.
"""

import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from edgecam_calibration.fp16 import write_fp16
from edgecam_calibration.quantize import TENSORRT, Calibration
from edgecam_engines.engine import Frames
from edgecam_engines.errors import EngineError
from edgecam_engines.tensorrt.build import CPU_TARGET, build_plan
from edgecam_engines.tensorrt.plan import Sidecar
from edgecam_training.backbone import DEFAULT
from edgecam_training.export import export_onnx
from edgecam_training.heads import HEADS
from training.head_kit import settled

PRECISIONS: Final = ("fp32", "fp16", "int8-tensorrt")
BATCHES: Final = (1, 8, 16)  # largest batch of a plan
SIZES: Final = ((160, 160), (224, 224), (256, 320), (384, 384), (512, 512))
# Ours, and of torchvision's one of each kind of block: plain, squeeze-and-excitation with hard-swish and with
# SiLU, residual, grouped, shuffled, dense, and with LayerNorm.
BACKBONES: Final = (
    DEFAULT,
    "mobilenet_v2",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "resnet18",
    "regnet_y_400mf",
    "shufflenet_v2_x0_5",
    "densenet121",
    "convnext_tiny",
)


class Case(NamedTuple):
    """One network at one size."""

    backbone: str
    head: str
    hw: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.backbone}, {self.head}, {self.hw[0]}x{self.hw[1]}"


class Outcome(NamedTuple):
    """One file compiled for one largest batch, or the reason why not."""

    case: Case
    precision: str
    max_batch: int
    sidecar: Sidecar | None
    seconds: float
    reason: str


def every_case() -> list[Case]:
    return [Case(*parts) for parts in product(BACKBONES, HEADS, SIZES)]


def covering_cases() -> list[Case]:
    """Every backbone with the default head, every head with the default backbone, and every size."""
    heads, sizes = [*HEADS], [*SIZES]
    cases = [Case(name, heads[0], sizes[i % len(sizes)]) for i, name in enumerate(BACKBONES)]
    return cases + [Case(DEFAULT, head, sizes[i % len(sizes)]) for i, head in enumerate(heads[1:], start=1)]


def frames_of(hw: tuple[int, int], n: int = 2) -> Frames:
    """Patches of colour; noise alone leaves nothing of itself after a few layers."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (n, hw[0] // 32, hw[1] // 32, 3), dtype=np.uint8)
    return coarse.repeat(32, 1).repeat(32, 2)


def write_files(case: Case, folder: Path) -> dict[str, Path]:
    """The case's ONNX file in each precision, as `build-engine` writes them for TensorRT."""
    paths = {precision: folder / f"{precision}.onnx" for precision in PRECISIONS}
    frames = frames_of(case.hw)
    export_onnx(settled(case.backbone, case.head, frames), case.hw, paths["fp32"])
    write_fp16(paths["fp32"], paths["fp16"])
    Calibration(paths["fp32"], [frames]).write(TENSORRT, paths["int8-tensorrt"])
    return paths


def compile_case(case: Case, folder: Path, trt: Any) -> Iterator[Outcome]:
    """Every precision for every largest batch."""
    for precision, path in write_files(case, folder).items():
        for max_batch in BATCHES:
            yield compile_file(case, precision, path, max_batch, trt)


def compile_file(case: Case, precision: str, path: Path, max_batch: int, trt: Any) -> Outcome:
    """One file, its plan beside it."""
    start, sidecar, reason = time.process_time(), None, ""
    try:
        sidecar = build_plan(
            path,
            path.with_name(f"{precision}-{max_batch}.plan"),
            trt=trt,
            target=CPU_TARGET,
            precision=precision.partition("-")[0],
            max_batch=max_batch,
        )
    except EngineError as error:
        reason = str(error)
    return Outcome(case, precision, max_batch, sidecar, time.process_time() - start, reason)
