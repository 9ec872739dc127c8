import hashlib
import json
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgecam_engines.cuda.calls import Device
from edgecam_engines.errors import BackendUnavailable, BuildFailed, EngineError, OutputError, StalePlan
from edgecam_engines.files import sha256_of
from edgecam_engines.tensorrt import build as tensorrt_build
from edgecam_engines.tensorrt.build import CPU_TARGET, build_plan, target_of
from edgecam_engines.tensorrt.graph import cast_first
from edgecam_engines.tensorrt.plan import Sidecar, layers_path, log_path, read_sidecar, sidecar_path
from edgecam_engines.tensorrt.watch import Overall, Progress
from engines.trt_fake import CARD, JETSON, FakeCuda, FakeTensorRT, MemoryPoolType
from engines.trt_models import PRECISIONS, by_onnxruntime, frames, small_model, write_model, write_quantized


@pytest.fixture(scope="module")
def rtx() -> Any:
    """NVIDIA's builder that needs no GPU."""
    return pytest.importorskip(
        "tensorrt_rtx", reason="needs the package tensorrt-rtx-cu12, whose builder runs without a GPU"
    )


def compiled(onnx_path: Path, trt: Any, **more: Any) -> Sidecar:
    return build_plan(
        onnx_path, onnx_path.with_suffix(".plan"), trt=trt, target=CPU_TARGET, precision="fp32", **more
    )


def saved(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_nvidias_builder_compiles_every_precision(tmp_path: Path, rtx: Any, precision: str) -> None:
    path = write_model(tmp_path, precision)
    sidecar = compiled(path, rtx)
    plan = path.with_suffix(".plan")
    assert sidecar == read_sidecar(plan)
    assert sidecar.plan_sha256 == hashlib.sha256(plan.read_bytes()).hexdigest()
    assert sidecar.onnx_sha256 == sha256_of(path)
    assert (sidecar.library, sidecar.tensorrt) == ("tensorrt_rtx", rtx.__version__)
    assert "SM86" in sidecar.device  # never to be taken for an Orin's
    assert sidecar.profile == [[1, 16, 16, 3], [1, 16, 16, 3], [8, 16, 16, 3]]
    assert "INFO: " in log_path(plan).read_text()


def test_the_plan_has_no_prefix_of_ours(tmp_path: Path, rtx: Any) -> None:
    plan = write_model(tmp_path, "fp32").with_suffix(".plan")
    compiled(plan.with_suffix(".onnx"), rtx)
    assert plan.read_bytes()[1:4] == b"trt"  # the library's own mark


def test_a_model_of_a_fixed_batch_keeps_it(tmp_path: Path, rtx: Any) -> None:
    sidecar = compiled(saved(small_model(batch=4), tmp_path / "four.onnx"), rtx, max_batch=16)
    assert sidecar.profile == [[4, 16, 16, 3]] * 3


def test_an_int32_bias_is_refused_with_the_name_of_its_node(tmp_path: Path, rtx: Any) -> None:
    path = write_quantized(tmp_path, tmp_path / "int8.onnx", bias=True)
    with pytest.raises(
        BuildFailed, match=r"refused int8\.onnx:\n  node bias_DequantizeLinear .*Int32"
    ) as caught:
        compiled(path, rtx)
    assert "QuantizeBias=False" in str(caught.value)  # what to do, by the lint


def test_an_unknown_operator_is_refused_with_the_name_of_its_node(tmp_path: Path, rtx: Any) -> None:
    path = saved(small_model(last="Det"), tmp_path / "odd.onnx")
    with pytest.raises(BuildFailed, match=r"node last \(Det\): UNSUPPORTED_NODE"):
        compiled(path, rtx)


def test_a_build_that_fails_leaves_the_former_plan_and_a_log_that_its_message_names(
    tmp_path: Path, rtx: Any
) -> None:
    path = write_model(tmp_path, "fp32")
    compiled(path, rtx)
    plan = path.with_suffix(".plan")
    former = plan.read_bytes(), sidecar_path(plan).read_bytes()
    saved(small_model(last="Det"), path)
    with pytest.raises(BuildFailed) as caught:
        compiled(path, rtx)
    assert (plan.read_bytes(), sidecar_path(plan).read_bytes()) == former
    assert str(log_path(plan)) in str(caught.value)
    assert "Det" in log_path(plan).read_text()


def test_ctrl_c_ends_a_build_and_leaves_no_plan(tmp_path: Path, rtx: Any) -> None:
    path = write_model(tmp_path, "fp32")
    main = threading.main_thread().ident
    assert main is not None
    told: list[Progress] = []

    def press_ctrl_c(progress: Progress) -> None:
        if not told:
            signal.pthread_kill(main, signal.SIGINT)
            threading.Event().wait(1)  # the builder is faster than the signal on so small a model
        told.append(progress)

    with pytest.raises(KeyboardInterrupt):
        compiled(path, rtx, on_progress=press_ctrl_c)
    assert files_in(tmp_path) == {"fp32.onnx", "fp32.plan.log"}
    stopped_after = len(told)
    told.clear()
    compiled(path, rtx, on_progress=told.append)
    assert stopped_after < len(told) - 1


def test_nvidias_builder_tells_its_phases_and_each_comes_to_its_end(tmp_path: Path, rtx: Any) -> None:
    told: list[Progress] = []
    compiled(write_model(tmp_path, "fp32"), rtx, on_progress=told.append)
    assert told[0].depth == 0
    assert max(progress.depth for progress in told) > 0
    last = {progress.phase: progress for progress in told}
    assert all(progress.done == progress.steps for progress in last.values())
    overall = Overall()
    shares = [overall.share(progress) for progress in told]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(set(shares)) > 20


def test_a_listener_that_fails_ends_the_build_with_its_own_error(tmp_path: Path, rtx: Any) -> None:
    def broken_pipe(progress: Progress) -> None:
        raise BrokenPipeError(progress.phase)

    with pytest.raises(BrokenPipeError):
        compiled(write_model(tmp_path, "fp32"), rtx, on_progress=broken_pipe)


def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path, rtx: Any) -> None:
    path = tmp_path / "no.onnx"
    path.write_bytes(b"\xffnot a model")
    with pytest.raises(EngineError, match=r"no\.onnx cannot be read as ONNX"):
        compiled(path, rtx)


def test_a_model_without_a_uint8_image_is_refused(tmp_path: Path, rtx: Any) -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "other",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 16, 16])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(BuildFailed, match="not one uint8 image"):
        compiled(saved(model, tmp_path / "other.onnx"), rtx)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_casting_before_moving_changes_no_value(tmp_path: Path, precision: str) -> None:
    path = write_model(tmp_path, precision)
    changed = cast_first(path.read_bytes(), path.name)
    graph = onnx.load_from_string(changed).graph
    assert [node.op_type for node in graph.node if "image" in node.input] == ["Cast"]
    onnx.checker.check_model(onnx.load_from_string(changed), full_check=True)
    np.testing.assert_array_equal(by_onnxruntime(changed, frames(3)), by_onnxruntime(path, frames(3)))


def test_several_moves_before_the_cast_stay_in_their_order(tmp_path: Path) -> None:
    model = small_model()
    graph = model.graph
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 1, 0]), "rgb"))
    graph.node.insert(0, helper.make_node("Gather", ["image", "rgb"], ["turned"], "turn", axis=3))
    graph.node[1].input[0] = "turned"
    path = saved(onnx.shape_inference.infer_shapes(model), tmp_path / "turned.onnx")
    changed = cast_first(path.read_bytes(), path.name)
    onnx.checker.check_model(onnx.load_from_string(changed), full_check=True)
    types = [node.op_type for node in onnx.load_from_string(changed).graph.node]
    assert types[:3] == ["Cast", "Gather", "Transpose"]
    np.testing.assert_array_equal(by_onnxruntime(changed, frames(2)), by_onnxruntime(path, frames(2)))


def test_a_model_that_casts_first_already_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(cast_first(write_model(tmp_path, "fp32").read_bytes(), "fp32.onnx"))
    assert onnx.load_from_string(cast_first(path.read_bytes(), path.name)) == onnx.load(path)


def on_device(path: Path, trt: FakeTensorRT, device: Device = JETSON, **more: Any) -> Sidecar:
    plan, target = path.with_suffix(".plan"), target_of(device)
    return build_plan(path, plan, trt=trt, target=target, precision="fp32", max_batch=4, **more)


def test_a_plan_for_a_device_says_which_and_reuses_the_timings_of_the_last_build(tmp_path: Path) -> None:
    path, trt = write_model(tmp_path, "fp32"), FakeTensorRT(FakeCuda())
    sidecar = on_device(path, trt)
    on_device(path, trt)
    assert trt.timings_given == [b"", b"timings"]
    assert (sidecar.device, sidecar.compute_capability, sidecar.cuda) == ("Orin", "8.7", "12.6")
    assert sidecar.profile[2] == [4, 16, 16, 3]


def test_damaged_timings_cost_time_and_nothing_else(tmp_path: Path) -> None:
    path, trt = write_model(tmp_path, "fp32"), FakeTensorRT(FakeCuda())
    (tmp_path / "timing-10.3.0.cache").write_bytes(b"damaged")
    on_device(path, trt)
    assert trt.timings_given == [b"damaged", b""]
    assert (tmp_path / "timing-10.3.0.cache").read_bytes() == b"timings"


def test_a_tensorrt_without_strong_typing_is_named_with_the_jetpack_that_has_it(tmp_path: Path) -> None:
    trt: Any = FakeTensorRT(FakeCuda(), version="8.6.2")
    trt.NetworkDefinitionCreationFlag = object
    with pytest.raises(BackendUnavailable, match=r"TensorRT 8\.6\.2 .*\nJetPack 6\.1"):
        on_device(write_model(tmp_path, "fp32"), trt)
    assert files_in(tmp_path) == {"fp32.onnx"}


def test_a_plan_whose_sidecar_could_not_be_written_is_no_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(path: Path, document: Any) -> None:
        raise OutputError(f"{path} could not be written: no space left on device.")

    path = write_model(tmp_path, "fp32")
    on_device(path, FakeTensorRT(FakeCuda()))
    monkeypatch.setattr(tensorrt_build, "write_json", full_disk)
    with pytest.raises(OutputError):
        on_device(path, FakeTensorRT(FakeCuda()))
    with pytest.raises(StalePlan, match=r"no TensorRT plan fp32\.plan"):
        read_sidecar(path.with_suffix(".plan"))


@pytest.mark.parametrize(
    "change",
    [
        lambda sidecar: sidecar.pop("device"),
        lambda sidecar: sidecar.update(schema=3),
        lambda sidecar: sidecar.update(extra=1),
    ],
    ids=["a key less", "a later schema", "a key more"],
)
def test_a_sidecar_with_anything_else_in_it_is_stale(tmp_path: Path, change: Any) -> None:
    path = write_model(tmp_path, "fp32")
    on_device(path, FakeTensorRT(FakeCuda()))
    sidecar = sidecar_path(path.with_suffix(".plan"))
    document = json.loads(sidecar.read_text())
    change(document)
    sidecar.write_text(json.dumps(document))
    with pytest.raises(StalePlan, match=r"edgecam build-engine RUN --out NAME\.edgecam --backend tensorrt"):
        read_sidecar(path.with_suffix(".plan"))


GB = 10**9


@pytest.mark.parametrize(("device", "limits"), [(JETSON, 1), (CARD, 0)], ids=["shared memory", "own memory"])
def test_the_workspace_is_limited_where_the_gpu_shares_its_memory(
    tmp_path: Path, device: Device, limits: int
) -> None:
    trt = FakeTensorRT(FakeCuda())
    on_device(write_model(tmp_path, "fp32"), trt, device, available=lambda: 4 * GB)
    (config,) = trt.configs
    assert len(config.limits) == limits
    if limits:
        assert 0 < config.limits[MemoryPoolType.WORKSPACE] < 2 * GB


def test_a_build_without_memory_is_refused_before_it_starts(tmp_path: Path) -> None:
    trt = FakeTensorRT(FakeCuda())
    with pytest.raises(BuildFailed, match=r"takes about 1\.\d GB of memory, and 0\.5 GB are free"):
        on_device(write_model(tmp_path, "fp32"), trt, available=lambda: GB // 2)
    assert trt.builds == 0
    assert not (tmp_path / "fp32.plan").exists()


def test_a_tight_build_goes_on_with_a_warning(tmp_path: Path) -> None:
    told: list[str] = []
    trt = FakeTensorRT(FakeCuda())
    on_device(write_model(tmp_path, "fp32"), trt, available=lambda: 2 * GB, on_warning=told.append)
    (warning,) = told
    assert "Only 2.0 GB of memory are free" in warning
    assert trt.builds == 1


def test_the_inspectors_report_and_its_summary_are_kept_beside_the_plan(tmp_path: Path) -> None:
    trt = FakeTensorRT(FakeCuda())
    tensor = [{"Name": "x", "Format/Datatype": "Half"}]
    report = {"Layers": [{"Name": "look", "LayerType": "gemm", "Inputs": tensor}], "Bindings": ["image"]}
    trt.inspector = json.dumps(report)
    on_device(write_model(tmp_path, "fp32"), trt)
    kept = json.loads(layers_path(tmp_path / "fp32.plan").read_text())
    assert kept["inspector"] == report
    assert kept["summary"] == {"layers": 1, "precisions": {"fp16": 1}, "on_dla": 0, "fell_back": []}
