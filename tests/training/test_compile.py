"""What the trainer makes, NVIDIA's compiler takes: a few networks here, all by benchmarks/compile_matrix.py."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgecam_engines.lint import lint_model
from edgecam_training.backbone import BACKBONES as OWN
from edgecam_training.backbone import DEFAULT
from edgecam_training.heads import HEADS
from training.compile_kit import (
    BACKBONES,
    BATCHES,
    PRECISIONS,
    SIZES,
    Case,
    compile_case,
    covering_cases,
    every_case,
)

# One with squeeze-and-excitation, whose pooling was a Shape of bytes, small and square; one of plain blocks,
# large and wide. The default is compiled by the calibration's tests, every head by test_head_export.
FEW = [Case("mobilenet_v3_small", "linear", (160, 160)), Case("resnet18", "plain", (512, 160))]


@pytest.fixture(scope="module")
def rtx() -> Any:
    """NVIDIA's builder that needs no GPU."""
    return pytest.importorskip(
        "tensorrt_rtx", reason="needs the package tensorrt-rtx-cu12, whose builder runs without a GPU"
    )


@pytest.mark.parametrize("case", FEW, ids=str)
def test_nvidias_compiler_takes_a_network_in_every_precision_and_batch_for_sm86(
    case: Case, tmp_path: Path, rtx: Any
) -> None:
    outcomes = list(compile_case(case, tmp_path, rtx))
    assert [outcome.reason for outcome in outcomes] == [""] * len(PRECISIONS) * len(BATCHES)
    h, w = case.hw
    for outcome in outcomes:
        assert outcome.sidecar is not None
        assert "SM86" in outcome.sidecar.device
        assert outcome.sidecar.profile == [[1, h, w, 3], [1, h, w, 3], [outcome.max_batch, h, w, 3]]
    for precision in PRECISIONS:
        errors = [f for f in lint_model(tmp_path / f"{precision}.onnx") if f.severity == "error"]
        assert errors == []
    graph = onnx.load(tmp_path / "fp32.onnx").graph
    assert not {"Shape", "Gather", "Range", "Expand"} & {node.op_type for node in graph.node}


def test_the_int8_file_holds_int8_convolutions(tmp_path: Path, rtx: Any) -> None:
    """So that what was compiled above is not the float graph under another name."""
    from training.compile_kit import write_files

    paths = write_files(Case("resnet18", "plain", (160, 160)), tmp_path)
    counts = Counter(node.op_type for node in onnx.load(paths["int8-tensorrt"]).graph.node)
    assert counts["QuantizeLinear"] > 20
    halves = [
        t for t in onnx.load(paths["fp16"]).graph.initializer if t.data_type == onnx.TensorProto.FLOAT16
    ]
    assert len(halves) > 20
    assert np.isfinite(onnx.numpy_helper.to_array(halves[0])).all()


def test_the_matrix_holds_every_backbone_head_and_size() -> None:
    cases = every_case()
    assert {case.head for case in cases} == set(HEADS)
    assert {case.backbone for case in cases} >= set(OWN)
    assert {case.hw for case in cases} == set(SIZES)
    sides = [side for hw in SIZES for side in hw]
    assert (min(sides), max(sides)) == (160, 512)
    assert len(cases) == len(set(cases)) == len(BACKBONES) * len(HEADS) * len(SIZES)


def test_the_covering_set_holds_each_of_them_at_least_once() -> None:
    cases = covering_cases()
    assert set(cases) <= set(every_case())
    assert {case.backbone for case in cases} == set(BACKBONES)
    assert {case.head for case in cases if case.backbone == DEFAULT} == set(HEADS)
    assert {case.hw for case in cases} == set(SIZES)
