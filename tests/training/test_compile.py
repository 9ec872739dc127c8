"""What the trainer makes, NVIDIA's compiler takes: two networks here, all by benchmarks/compile_matrix.py."""

from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import pytest

from edgecam_engines.lint import lint_model
from edgecam_training.backbone import BACKBONES as OWN
from edgecam_training.backbone import DEFAULT
from edgecam_training.heads import HEADS
from training.compile_kit import (
    BACKBONES,
    BATCHES,
    SIZES,
    Case,
    compile_file,
    covering_cases,
    every_case,
    write_files,
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
def test_nvidias_compiler_takes_a_network_in_every_precision_for_sm86(
    case: Case, tmp_path: Path, rtx: Any
) -> None:
    paths = write_files(case, tmp_path)
    h, w = case.hw
    for (precision, path), batch in zip(paths.items(), BATCHES, strict=True):
        outcome = compile_file(case, precision, path, batch, rtx)
        assert outcome.reason == ""
        assert outcome.sidecar is not None
        assert "SM86" in outcome.sidecar.device
        assert outcome.sidecar.profile == [[1, h, w, 3], [1, h, w, 3], [batch, h, w, 3]]
        assert [finding for finding in lint_model(path) if finding.severity == "error"] == []
    fp32, fp16, int8 = (onnx.load(path).graph for path in paths.values())
    assert not {"Shape", "Gather", "Range", "Expand"} & {node.op_type for node in fp32.node}
    # What was compiled is not the float graph under other names.
    rounded = {node.output[0] for node in int8.node if node.op_type == "DequantizeLinear"}
    convolutions = [node for node in int8.node if node.op_type == "Conv"]
    assert sum(node.input[0] in rounded for node in convolutions) > 0.9 * len(convolutions)
    kinds = Counter(tensor.data_type for tensor in fp16.initializer)
    assert kinds[onnx.TensorProto.FLOAT16] > 20


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
