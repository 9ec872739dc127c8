"""What a run learned about rounding: kept whole, bound to its graph, and used in place of calibration."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgecam_calibration.build import RETRIED, build_engine
from edgecam_calibration.gate import Bounds
from edgecam_calibration.learned import LEARNED_GRAPH, Learned, find_learned, save_learned, write_learned
from edgecam_calibration.models import SCALES
from edgecam_calibration.quantize import TENSORRT
from edgecam_calibration.run import Run
from edgecam_engines.errors import TrainingError


@pytest.fixture
def learned(finished_run: Run, tmp_path: Path) -> Learned:
    shutil.copyfile(finished_run.model, tmp_path / LEARNED_GRAPH)
    return Learned(tmp_path / LEARNED_GRAPH, {TENSORRT.name: {"hardtanh_3": (0.125, 0)}})


def test_what_is_saved_is_found_again(learned: Learned) -> None:
    save_learned(learned)
    assert find_learned(learned.graph.parent) == learned


def test_a_run_that_learned_nothing_has_nothing(tmp_path: Path) -> None:
    assert find_learned(tmp_path) is None


def test_ranges_of_another_graph_are_refused(learned: Learned) -> None:
    save_learned(learned)
    learned.graph.write_bytes(learned.graph.read_bytes() + b"\0")
    with pytest.raises(TrainingError, match="not the graph that they were learned for"):
        find_learned(learned.graph.parent)


@pytest.mark.parametrize("scale", [0, -1.0, "wide", None])
def test_a_scale_that_is_none_is_refused(learned: Learned, scale: object) -> None:
    save_learned(learned)
    path = learned.graph.with_name("qat.json")
    document = json.loads(path.read_text())
    document["profiles"][TENSORRT.name]["hardtanh_3"]["scale"] = scale
    path.write_text(json.dumps(document))
    with pytest.raises(TrainingError, match="cannot be used"):
        find_learned(path.parent)


def test_a_learned_range_stands_in_the_file(learned: Learned, tmp_path: Path) -> None:
    frames = np.zeros((1, 96, 128, 3), np.uint8)
    write_learned(learned, TENSORRT, tmp_path / "int8.onnx", [frames])
    graph = onnx.load(tmp_path / "int8.onnx").graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    (found,) = [n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == "hardtanh_3"]
    assert float(constants[found.input[1]]) == 0.125


def test_where_calibration_does_not_pass_the_trained_model_is_tried_next(
    run_folder: Path, tmp_path: Path
) -> None:
    """No INT8 model keeps every pixel of every map, so with that asked for both are tried and FP32 ships."""
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    shutil.copyfile(run / "model.onnx", run / LEARNED_GRAPH)
    save_learned(Learned(run / LEARNED_GRAPH, {}))
    built = build_engine(run, tmp_path / "b.edgecam", bounds=Bounds(min_cam_iou=1.0), backend="onnxruntime")
    int8 = [v for v in built.verdicts if v.precision == "int8"]
    assert [v.backend for v in int8] == ["onnxruntime", "onnxruntime", "tensorrt", "tensorrt"]
    assert [RETRIED in v.reasons for v in int8] == [True, False, True, False]
    assert built.chosen.precision in {"fp32", "fp16"}
    models = built.bundle.manifest.models
    assert models["int8-cpu"] == "models/int8-cpu-trained.onnx"
    beside = {"fp16.json", Path(SCALES).name}
    assert {p.name for p in (tmp_path / "b.edgecam/models").iterdir()} - beside == {
        Path(f).name for f in models.values()
    }


def test_a_calibrated_model_that_is_only_unproven_keeps_its_place(run_folder: Path, tmp_path: Path) -> None:
    """It may ship with --accept-unproven, and then the file must be the one that was judged."""
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    shutil.copyfile(run / "model.onnx", run / LEARNED_GRAPH)
    save_learned(Learned(run / LEARNED_GRAPH, {}))
    bounds = Bounds(max_drop=3, min_agreement=0, min_cam_iou=0, min_cam_iou_p10=0)
    built = build_engine(
        run,
        tmp_path / "b.edgecam",
        bounds=bounds,
        backend="onnxruntime",
        precision="int8",
        accept_unproven=True,
    )
    assert built.chosen.state == "unproven"
    assert [v.backend for v in built.verdicts] == ["onnxruntime", "tensorrt"]
    assert built.bundle.manifest.engine["model"] == "models/int8-cpu.onnx"
