"""What a bundle needs, held against what this machine has: will it run here, and how fast should it be."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from edgecam.doctor import OLDEST_TENSORRT, numbers
from edgecam.doctor_finding import Finding
from edgecam.inventory import Inventory
from edgecam.roofline.of_bundle import of_bundle
from edgecam.roofline.peaks import ORIN, mode_named
from edgecam.roofline.predict import WITHIN
from edgecam_engines.bundle import Bundle, open_bundle
from edgecam_engines.checked import NOTE
from edgecam_engines.errors import EdgecamError
from edgecam_engines.files import read_limited

_PROVIDERS: Final = {
    "onnxruntime-cuda": "CUDAExecutionProvider",
    "onnxruntime-tensorrt": "TensorrtExecutionProvider",
    "onnxruntime-openvino": "OpenVINOExecutionProvider",
}
_LIMIT: Final = 16 << 20  # bytes of a gate's report


def diagnose_bundle(path: Path, machine: Inventory) -> list[Finding]:
    """Whether it is whole, what runs it here, what is still to be done once, and its speed."""
    try:
        bundle = open_bundle(path)
    except EdgecamError as error:
        found, _, todo = str(error).partition("\n")
        return [Finding("Bundle", "problem", found, todo or "Build it again with `edgecam build-engine`.")]
    return list(_findings(bundle, machine))


def _findings(bundle: Bundle, machine: Inventory) -> Iterator[Finding]:
    about = bundle.manifest
    h, w = bundle.input_hw
    yield Finding(
        "Bundle",
        "ok",
        f"{about.name}: {len(about.classes)} classes, {h} x {w}, {len(about.files)} files, whole",
    )
    yield engine(bundle, machine)
    if about.engine["backend"].startswith("tensorrt") and _tensorrt(machine):
        yield plan(bundle)
    yield answers(bundle)
    yield speed(bundle, machine)


def engine(bundle: Bundle, machine: Inventory) -> Finding:
    """Whether what the bundle ships can run here, and what can instead."""
    backend, precision = bundle.manifest.engine["backend"], bundle.manifest.engine["precision"]
    shipped = f"{backend} in {precision}"
    lacking = _lacks(backend, machine)
    if lacking is None:
        return Finding("Engine", "ok", f"{shipped} runs here")
    if _lacks("onnxruntime", machine) is None:
        return Finding(
            "Engine",
            "note",
            f"it ships {shipped}, and {lacking}",
            f"On the processor, more slowly:\n    edgecam run --bundle {bundle.path} --backend onnxruntime",
        )
    return Finding(
        "Engine", "problem", f"it ships {shipped}, and {lacking}", "See above for what to install."
    )


def plan(bundle: Bundle) -> Finding:
    """Whether a TensorRT plan lies there; whether it is this GPU's is seen when it is opened."""
    plans = sorted((bundle.path / "plans").glob("*/*.plan"))
    if plans:
        return Finding("Plan", "ok", ", ".join(str(each.relative_to(bundle.path)) for each in plans))
    return Finding(
        "Plan",
        "note",
        "none was built yet: the first start builds one, which takes minutes",
        f"Do it now:\n    edgecam bench {bundle.path}",
    )


def answers(bundle: Bundle) -> Finding:
    """Whether the engine has answered the golden photos on some device from here."""
    devices = sorted(note.parent.name for note in (bundle.path / "plans").glob(f"*/{NOTE}"))
    if devices:
        return Finding("Answers", "ok", f"checked on {', '.join(devices)}")
    return Finding(
        "Answers",
        "note",
        "it was not run on any device since it was built; its own photos are asked at the first start",
        f"Nothing, or now:\n    edgecam bench {bundle.path}",
    )


def speed(bundle: Bundle, machine: Inventory) -> Finding:
    """How fast it should be: on an AGX Orin by prediction, elsewhere by what it took where it was built."""
    precision = bundle.manifest.engine["precision"]
    measure = f"Measure it:\n    edgecam bench {bundle.path}"
    built = _latency_where_built(bundle)
    where = (
        f"{built:.1f} ms an engine call where it was built"
        if built
        else "no time was noted where it was built"
    )
    try:
        cost = of_bundle(bundle)
    except EdgecamError:
        return Finding("Speed", "note", where, measure)
    board = machine.board
    mode = mode_named(board.power_mode if board else None)
    if mode is not None and board is not None and "AGX Orin" in board.model and _tensorrt(machine):
        told = next(each for each in cost.predictions(cost.precision) if each.mode == mode)
        ms = told.seconds * 1e3
        return Finding(
            "Speed",
            "ok",
            f"PREDICTION, not measured: {ms:.2f} ms in {precision} in {mode.name}, within "
            f"{WITHIN * 100:.0f} %; much slower means that something is wrong",
            measure,
        )
    orin = cost.predictions(cost.precision)[0]
    return Finding(
        "Speed",
        "ok",
        f"{where}; predicted for an AGX Orin in {ORIN[0].name}: {orin.seconds * 1e3:.2f} ms in {precision}",
        measure,
    )


def _lacks(backend: str, machine: Inventory) -> str | None:
    """What is missing for a back end, in words; None when nothing is."""
    if backend.startswith("tensorrt"):
        if not machine.cuda:
            return f"there is no CUDA device: {machine.no_cuda}"
        return None if _tensorrt(machine) else f"TensorRT is {machine.tensorrt or 'not installed'}"
    if backend.startswith("onnxruntime"):
        runtime = machine.onnxruntime
        if isinstance(runtime, str):
            return f"ONNX Runtime cannot be imported: {runtime}"
        wanted = _PROVIDERS.get(backend, "CPUExecutionProvider")
        return None if wanted in runtime.providers else f"this ONNX Runtime has no {wanted}"
    return None


def _tensorrt(machine: Inventory) -> bool:
    return bool(machine.cuda and machine.tensorrt and numbers(machine.tensorrt) >= OLDEST_TENSORRT)


def _latency_where_built(bundle: Bundle) -> float | None:
    """Milliseconds of the candidate that was chosen; None where the report does not say."""
    try:
        report: dict[str, Any] = json.loads(read_limited(bundle.path / "gate.json", _LIMIT))
        wanted = (bundle.manifest.gate["chosen"], bundle.manifest.engine["backend"])
        candidates = report["candidates"]
        return next(float(c["latency_ms"]) for c in candidates if (c["precision"], c["backend"]) == wanted)
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None
