"""TensorRT on an NVIDIA GPU: the plan of this device, found, checked, and built where needed."""

import hashlib
import importlib
import json
from pathlib import Path
from typing import Any

from edgecam_engines.backends import Model
from edgecam_engines.console import log
from edgecam_engines.cuda.calls import Cuda, Device
from edgecam_engines.cuda.find import device_key, open_cuda
from edgecam_engines.engine import Engine
from edgecam_engines.errors import BackendUnavailable, BundleDamaged, StalePlan
from edgecam_engines.onnx_file import read_onnx
from edgecam_engines.tensorrt.build import MAX_BATCH, build_plan, digest_of, target_of
from edgecam_engines.tensorrt.dla import Source, dla_source
from edgecam_engines.tensorrt.inspect import layers_of
from edgecam_engines.tensorrt.plan import Wanted, check_fresh, layers_path, read_sidecar, stale
from edgecam_engines.tensorrt.run import TensorRTEngine
from edgecam_engines.tensorrt.watch import build_bar


def open_plan(model: Model, dla: int | None = None) -> Engine:
    """Open the plan that `model` has for this GPU; build it first where there is none that fits.

    With `dla`, the plan for that core of the deep learning accelerator. Raises BackendUnavailable (no GPU,
    no TensorRT, no such DLA), BundleDamaged (the plan was changed since it was built), BuildFailed,
    EngineError.
    """
    cuda, device = open_cuda()  # before the import: TensorRT's libraries crash without a device
    trt = _tensorrt()
    read_onnx(model.path, model.digests)  # refuses what was changed or leads out, before NVIDIA's parser
    return open_on(model, trt=trt, cuda=cuda, device=device, dla=dla)


def open_on(
    model: Model,
    *,
    trt: Any,
    cuda: Cuda,
    device: Device,
    dla: int | None = None,
    max_batch: int = MAX_BATCH,
) -> Engine:
    """`open_plan` with everything that it finds out handed in."""
    plan = plan_path(model, device, dla)
    source = Source(model.path) if dla is None else dla_source(trt, model.path, model.precision)
    batch = max_batch if dla is None else 1  # a DLA takes one shape
    here = Wanted(
        model=model.path.name,
        onnx_sha256=digest_of(source),
        library=trt.__name__,
        tensorrt=str(trt.__version__),
        cuda=device.runtime,
        compute_capability=device.compute_capability,
        device=device.name,
        precision=model.precision,
        max_batch=batch,
        dla=dla,
    )
    try:
        return _open_checked(plan, here, trt=trt, cuda=cuda, device=device)
    except StalePlan as error:
        why = str(error).partition("\n")[0]
    log.print(f"{why} Building it from {source.onnx.name}; this takes some minutes, once.", markup=False)
    with build_bar(f"Building {plan.name}") as progress:
        build_plan(
            source,
            plan,
            trt=trt,
            target=target_of(device, dla),
            precision=model.precision,
            max_batch=batch,
            on_progress=progress,
            on_warning=lambda warning: log.print(warning, markup=False),
        )
    log.print(f"{plan.name} has {built_layers(plan, model.precision)}.", markup=False)
    return _open_checked(plan, here, trt=trt, cuda=cuda, device=device)


def plan_path(model: Model, device: Device, dla: int | None = None) -> Path:
    """Where the plan of this model for this kind of GPU, or this DLA core, lies or will lie."""
    core = "" if dla is None else f".dla{dla}"
    return model.plans / device_key(device) / f"{model.path.stem}{core}.plan"


def built_layers(plan: Path, precision: str) -> str:
    """What the inspector said of a plan when it was built, in one line."""
    try:
        report = json.loads(layers_path(plan).read_text(encoding="utf-8"))["inspector"]
    except (OSError, ValueError, KeyError, TypeError):
        return "no report of its layers"
    return str(layers_of(report, precision))


def _open_checked(plan: Path, here: Wanted, *, trt: Any, cuda: Cuda, device: Device) -> Engine:
    """Raises StalePlan when the plan is not for this model, GPU and TensorRT, BundleDamaged when changed."""
    built = read_sidecar(plan)
    check_fresh(plan, built, here)
    if not plan.is_file():
        raise stale(f"{plan.name} is not in its folder any more")
    content = plan.read_bytes()
    if hashlib.sha256(content).hexdigest() != built.plan_sha256:
        raise BundleDamaged(
            f"{plan.name} was changed since it was built: its SHA-256 is not that of {plan.name}.json.\n"
            f"Delete {plan.parent}; the next run builds it again."
        )
    return TensorRTEngine(content, built, trt=trt, cuda=cuda, device=device)


def _tensorrt() -> Any:
    """The module, or BackendUnavailable. Only to be called where CUDA has a device."""
    try:
        return importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:
        raise BackendUnavailable(
            f"There is a GPU, but TensorRT cannot be imported ({error}).\n"
            f"On a Jetson it comes with JetPack: sudo apt install python3-libnvinfer, and make the virtual "
            f"environment with --system-site-packages. Elsewhere:\n"
            f"    pip install 'edgecam[tensorrt]'"
        ) from error
