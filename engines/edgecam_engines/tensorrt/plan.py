"""What must be known about a TensorRT plan, in a file beside it, and whether it is the one wanted here."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from edgecam_engines.errors import StalePlan

SCHEMA: Final = 2


@dataclass(frozen=True)
class Sidecar:
    """What stands in NAME.plan.json. The plan itself has no prefix, so that trtexec reads it."""

    onnx_sha256: str
    plan_sha256: str
    library: str  # "tensorrt" or "tensorrt_rtx": their plans are not interchangeable
    tensorrt: str  # version
    cuda: str  # version of the runtime that it was built with
    compute_capability: str
    device: str
    precision: str
    max_batch: int  # as asked for; `profile` has what the model allows of it
    dla: int | None  # core of the deep learning accelerator; None for the GPU
    profile: list[list[int]]  # the smallest, the usual and the largest input, (n, h, w, 3) each
    schema: int = SCHEMA


@dataclass(frozen=True)
class Wanted:
    """The plan that would be built here and now, as far as that is known before it is built."""

    model: str  # the ONNX file's name
    onnx_sha256: str
    library: str
    tensorrt: str
    cuda: str
    compute_capability: str
    device: str
    precision: str
    max_batch: int
    dla: int | None


def sidecar_path(plan: Path) -> Path:
    return plan.with_name(plan.name + ".json")


def log_path(plan: Path) -> Path:
    return plan.with_name(plan.name + ".log")


def layers_path(plan: Path) -> Path:
    return plan.with_name(plan.name + ".layers.json")


def read_sidecar(plan: Path) -> Sidecar:
    """Read what build_plan wrote beside a plan. Raises StalePlan when it is not there or anything else."""
    try:
        document = json.loads(sidecar_path(plan).read_text(encoding="utf-8"))
        if set(document) != {field.name for field in fields(Sidecar)} or document["schema"] != SCHEMA:
            raise ValueError("it has other keys")
        return Sidecar(**document)
    except FileNotFoundError as error:
        raise stale(f"There is no TensorRT plan {plan.name} for this GPU yet") from error
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise stale(
            f"{sidecar_path(plan).name} is not what edgecam writes beside a plan ({error})"
        ) from error


def check_fresh(plan: Path, built: Sidecar, here: Wanted) -> None:
    """Raises StalePlan that says what the plan was built for and what is here."""
    pairs = (
        ("was built by {}, but here is {}", _library(built), _library(here)),
        ("was built for {}, but this GPU is {}", _gpu(built), _gpu(here)),
        ("was built with CUDA {}, but here is CUDA {}", built.cuda, here.cuda),
        ("was built for {}, but {} is wanted", _engine(built.dla), _engine(here.dla)),
        ("computes in {}, but {} is wanted", built.precision, here.precision),
        ("takes up to {} frames at once, but {} are wanted", built.max_batch, here.max_batch),
    )
    for sentence, there, wanted in pairs:
        if there != wanted:
            raise stale(f"{plan.name} {sentence.format(there, wanted)}")
    if built.onnx_sha256 != here.onnx_sha256:
        raise stale(f"{plan.name} was built from another {here.model} than the one in this bundle")


def stale(what: str) -> StalePlan:
    """The error for a plan that cannot be used here, its first line one sentence."""
    return StalePlan(
        f"{what}.\nA plan belongs to the model, the GPU and the TensorRT that made it. Build it again here:\n"
        f"    edgecam build-engine RUN --out NAME.edgecam --backend tensorrt"
    )


def _library(of: Sidecar | Wanted) -> str:
    return f"{of.library} {of.tensorrt}"


def _gpu(of: Sidecar | Wanted) -> str:
    return f"{of.device} ({of.compute_capability})"


def _engine(dla: int | None) -> str:
    return "the GPU" if dla is None else f"DLA core {dla}"
