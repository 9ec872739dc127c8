"""The doctor on a bundle: will it run here, and how fast should it be."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from edge.loop_kit import make_bundle
from edge.test_doctor import ORIN, PC
from edge.test_roofline import a_model
from edgecam.commands import doctor as command
from edgecam.doctor_bundle import diagnose_bundle
from edgecam.doctor_finding import Finding
from edgecam.inventory import Inventory
from edgecam.roofline.cost import cost_of
from edgecam.roofline.peaks import ORIN as MODES
from edgecam.roofline.predict import predict
from edgecam_engines.bundle import open_bundle, write_manifest


def bundle_for(tmp_path: Path, backend: str, precision: str = "int8") -> Path:
    """A bundle that ships a back end, with an ONNX network whose cost can be told."""
    path = make_bundle(tmp_path / "line.edgecam")
    kept = {
        k: v
        for k, v in asdict(open_bundle(path).manifest).items()
        if k not in {"geometry", "files", "schema"}
    }
    (path / "manifest.json").unlink()
    a_model(path / "models" / "fp32.onnx")
    candidates = [("fp32", backend, 9.0), (precision, "another", None), (precision, backend, 4.5)]
    report = {
        "candidates": [{"precision": p, "backend": b, "latency_ms": ms} for p, b, ms in candidates],
    }
    (path / "gate.json").write_text(json.dumps(report))
    kept["models"] = {"fp32": "models/fp32.onnx"}
    kept["engine"] = {"backend": backend, "precision": precision, "model": "models/fp32.onnx"}
    kept["gate"] = {"chosen": precision}
    write_manifest(path, kept)
    return path


def about(findings: list[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)


def test_a_bundle_that_is_whole_says_what_it_is(tmp_path: Path) -> None:
    findings = diagnose_bundle(bundle_for(tmp_path, "onnxruntime"), PC)
    assert [finding.name for finding in findings] == ["Bundle", "Engine", "Answers", "Speed"]
    assert "line: 3 classes, 64 x 64" in about(findings, "Bundle").found
    assert about(findings, "Engine").found == "onnxruntime in int8 runs here"


def test_a_bundle_that_was_changed_is_a_problem_with_its_remedy(tmp_path: Path) -> None:
    path = bundle_for(tmp_path, "onnxruntime")
    (path / "gate.json").write_text("{}")
    (finding,) = diagnose_bundle(path, PC)
    assert (finding.name, finding.status) == ("Bundle", "problem")
    assert "gate.json" in finding.found
    assert "edgecam build-engine" in finding.todo


def test_no_bundle_is_a_problem(tmp_path: Path) -> None:
    (finding,) = diagnose_bundle(tmp_path / "none.edgecam", PC)
    assert finding.status == "problem"
    assert "does not exist" in finding.found


@pytest.mark.parametrize(
    ("backend", "machine", "status", "words"),
    [
        ("tensorrt", ORIN, "ok", "tensorrt in int8 runs here"),
        ("tensorrt", PC, "note", "no CUDA device: no NVIDIA driver"),
        ("tensorrt", replace(ORIN, tensorrt="8.6.2"), "note", "TensorRT is 8.6.2"),
        ("tensorrt", replace(ORIN, tensorrt=None), "note", "TensorRT is not installed"),
        ("onnxruntime-cuda", PC, "note", "has no CUDAExecutionProvider"),
        ("onnxruntime", replace(PC, onnxruntime="ImportError: x"), "problem", "imported: ImportError: x"),
        ("tensorrt", replace(PC, onnxruntime="ImportError: x"), "problem", "no CUDA device"),
    ],
)  # fmt: skip
def test_what_runs_it_here_is_told(
    tmp_path: Path, backend: str, machine: Inventory, status: str, words: str
) -> None:
    finding = about(diagnose_bundle(bundle_for(tmp_path, backend), machine), "Engine")
    assert finding.status == status
    assert words in finding.found
    if status == "note":
        assert "--backend onnxruntime" in finding.todo
    assert finding.todo or status == "ok"


def test_a_plan_that_is_still_to_be_built_is_said_to_take_minutes(tmp_path: Path) -> None:
    path = bundle_for(tmp_path, "tensorrt")
    assert "takes minutes" in about(diagnose_bundle(path, ORIN), "Plan").found
    (path / "plans/orin").mkdir(parents=True)
    (path / "plans/orin/int8.plan").touch()
    (path / "plans/orin/checked.json").write_text("{}")
    findings = diagnose_bundle(path, ORIN)
    assert about(findings, "Plan").found == "plans/orin/int8.plan"
    assert about(findings, "Answers").found == "checked on orin"


def test_on_an_orin_the_speed_is_predicted_for_the_mode_it_is_in(tmp_path: Path) -> None:
    path = bundle_for(tmp_path, "tensorrt")
    assert ORIN.board is not None
    board = replace(ORIN.board, power_mode="MODE_30W")
    finding = about(diagnose_bundle(path, replace(ORIN, board=board)), "Speed")
    told = predict(cost_of(path / "models/fp32.onnx"), "int8", MODES[2]).seconds * 1e3
    assert f"PREDICTION, not measured: {told:.2f} ms in int8 in MODE_30W" in finding.found
    assert "edgecam bench" in finding.todo


def test_elsewhere_the_speed_is_what_it_was_where_it_was_built(tmp_path: Path) -> None:
    finding = about(diagnose_bundle(bundle_for(tmp_path, "onnxruntime"), PC), "Speed")
    assert finding.found.startswith(
        "4.5 ms an engine call where it was built; predicted for an AGX Orin in MAXN"
    )


def test_the_command_puts_the_bundle_behind_the_machine_and_fails_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "take_inventory", lambda: PC)
    assert command.doctor(json=True, bundle=bundle_for(tmp_path, "onnxruntime")) is True
    told = json.loads(capsys.readouterr().out)
    assert [finding["name"] for finding in told["findings"]][-4:] == ["Bundle", "Engine", "Answers", "Speed"]
    assert command.doctor(json=False, bundle=tmp_path / "none.edgecam") is False
    assert "problem" in capsys.readouterr().out
