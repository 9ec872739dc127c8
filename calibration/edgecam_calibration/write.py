"""Everything that turns a work folder with models into a bundle; the manifest comes last."""

import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgecam_calibration.choose import set_hash
from edgecam_calibration.evaluate import Labelled
from edgecam_calibration.golden_photos import choose_golden, golden_of
from edgecam_calibration.mixed.write import read_plan
from edgecam_calibration.models import SCALES
from edgecam_calibration.origin import keep_origin
from edgecam_calibration.quantize import DEFAULT
from edgecam_calibration.report import write_gate_report
from edgecam_calibration.run import Run
from edgecam_calibration.verdict import Reference, Verdict
from edgecam_engines.backends import model_for
from edgecam_engines.bundle import write_manifest
from edgecam_engines.files import write_json
from edgecam_engines.golden import save_golden
from edgecam_engines.head import save_head

# What the manifest repeats of gate.json.
IN_SHORT: Final = ("chosen", "backend", "state", "reasons", "accept_unproven", "n", "bounds")


def write_bundle(
    folder: Path,
    run: Run,
    models: dict[str, str],
    gate: dict[str, Any],
    reference: Reference,
    verdicts: Sequence[Verdict],
    calibrators: list[Labelled],
) -> None:
    """Gate report, head, golden photos, origin and manifest into `folder`, which holds the models already."""
    write_json(folder / "gate.json", gate)
    write_gate_report(folder / "report.html", gate, reference, verdicts, read_plan(folder))
    save_head(run.head, folder / "heads" / "base.safetensors")
    keep_origin(run.path, folder)
    measured = {models["fp32"]: reference.outputs}
    for verdict in verdicts:
        if verdict.outputs is not None:
            measured[models[model_for(verdict.precision, verdict.backend)]] = verdict.outputs
    at = choose_golden(reference, rng=np.random.default_rng(0))
    save_golden(golden_of(reference, at, measured, "base"), folder)
    backend, precision = gate["backend"], gate["chosen"]
    write_manifest(
        folder,
        {
            "name": run.path.resolve().name,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "edgecam": version("edgecam"),
            "classes": list(run.head.classes),
            "input_hw": list(reference.frames[0].shape[:2]),
            "feature_dhw": [run.head.weight.shape[1], *reference.outputs.maps.shape[1:]],
            "engine": {
                "backend": backend,
                "precision": precision,
                "model": models[model_for(precision, backend)],
            },
            "models": models,
            "heads": {"base": "heads/base.safetensors"},
            "head": "base",
            "gate": {key: gate[key] for key in IN_SHORT},
            "calibration": {
                **asdict(DEFAULT),
                "scales": SCALES,
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
