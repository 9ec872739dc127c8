"""`edgecam lint` as a shell sees it, and in words."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edgecam.boundary import code_of
from edgecam.cli import app
from edgecam.commands.lint import lint
from edgecam_engines.errors import EngineError
from engines.trt_models import write_model, write_quantized


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    """A model whose bias TensorRT's parser refuses."""
    return write_quantized(tmp_path, tmp_path / "refused.onnx", bias=True)


def test_a_model_with_an_error_leaves_with_1_and_names_the_node_and_what_to_do(
    refused: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(lambda: app(["lint", str(refused)], standalone_mode=False)) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "error int32-bias, bias_DequantizeLinear (DequantizeLinear): " in told
    assert "QuantizeBias=False" in told
    assert "refused.onnx, by edgecam's rules" in told


def test_a_sound_model_leaves_with_0(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["lint", str(write_model(tmp_path, "int8"))]).exit_code == 0


def test_the_document_holds_every_finding_with_its_fields(
    refused: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not lint(refused, json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["errors"] == sum(found["severity"] == "error" for found in document["findings"]) > 0
    assert document["parser"].startswith("tensorrt_rtx ")
    assert {"parser", "int32-bias", "uint8-moved"} == {found["rule"] for found in document["findings"]}
    assert all(set(found) == {"rule", "severity", "node", "what", "todo"} for found in document["findings"])


def test_without_nvidias_parser_the_rules_judge_alone(
    refused: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing: Any = None
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", missing)
    assert not lint(refused, json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["parser"] is None
    assert {"int32-bias", "uint8-moved"} == {found["rule"] for found in document["findings"]}


def test_what_is_no_onnx_is_a_known_error(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\xff\xff")
    with pytest.raises(EngineError, match="cannot be read as ONNX"):
        lint(tmp_path / "model.onnx", json=False)
