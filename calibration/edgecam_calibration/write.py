"""Everything that turns a work folder with models into a bundle; the manifest comes last."""

import platform
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgecam_calibration.choose import set_hash
from edgecam_calibration.evaluate import Labelled
from edgecam_calibration.gate import Reference
from edgecam_calibration.quantize import DEFAULT
from edgecam_calibration.report import write_gate_report
from edgecam_calibration.run import Run
from edgecam_engines.bundle import write_manifest
from edgecam_engines.files import write_json
from edgecam_engines.head import save_head


def write_bundle(
    folder: Path,
    run: Run,
    models: dict[str, str],
    gate: dict[str, Any],
    reference: Reference,
    calibrators: list[Labelled],
) -> None:
    """Gate report, head and manifest into `folder`, which holds the models already."""
    write_json(folder / "gate.json", gate)
    write_gate_report(folder / "report.html", gate)
    save_head(run.head, folder / "heads" / "base.safetensors")
    backend, precision = gate["backend"], gate["chosen"]
    profile = ("int8-tensorrt" if backend == "tensorrt" else "int8-cpu") if precision == "int8" else precision
    write_manifest(
        folder,
        {
            "name": run.path.resolve().name,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "edgecam": version("edgecam"),
            "classes": list(run.head.classes),
            "input_hw": list(reference.frames[0].shape[:2]),
            "feature_dhw": [run.head.weight.shape[1], *reference.outputs.maps.shape[1:]],
            "engine": {"backend": backend, "precision": precision, "model": models[profile]},
            "models": models,
            "heads": {"base": "heads/base.safetensors"},
            "head": "base",
            "gate": {key: gate[key] for key in ("chosen", "backend", "n", "bounds")},
            "calibration": {
                **asdict(DEFAULT),
                "scales": "models/int8-tensorrt.scales.json",
                "photos": len(calibrators),
                "set_sha256": set_hash(calibrators),
            },
            "provenance": _provenance(),
        },
    )


def _provenance() -> dict[str, str]:
    found = {
        "machine": platform.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    for package in ("onnx", "onnxruntime", "onnxruntime-gpu", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
