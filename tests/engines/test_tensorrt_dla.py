"""The deep learning accelerator: what it is built from, where it is refused, and what it answers."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgecam_engines.backends import Model
from edgecam_engines.engine import Engine
from edgecam_engines.errors import BackendUnavailable, BuildFailed
from edgecam_engines.tensorrt.dla import read_scales
from edgecam_engines.tensorrt.opener import open_on, plan_path
from engines.trt_fake import JETSON, DeviceType, FakeCuda, FakeTensorRT
from engines.trt_models import by_onnxruntime, frames, small_model, write_model

OLD, NEW = "10.3.0", "11.4.1"
SCALES = {"centred": 1.0, "sums": 0.05, "features": 0.04, "gone after fusing": 2.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The models of a bundle, and the scales beside them."""
    for name, precision in (("fp32", "fp32"), ("fp16", "fp16-float-out"), ("int8-tensorrt", "int8")):
        written = write_model(tmp_path, precision)
        if written.stem != name:
            shutil.move(written, tmp_path / f"{name}.onnx")
    (tmp_path / "int8-tensorrt.scales.json").write_text(json.dumps(SCALES))
    return tmp_path


def model_in(folder: Path, precision: str) -> Model:
    name = "int8-tensorrt" if precision == "int8" else precision
    return Model(folder / f"{name}.onnx", precision, folder / "plans")


def opened(folder: Path, precision: str, trt: FakeTensorRT, core: int = 0) -> Engine:
    return open_on(model_in(folder, precision), trt=trt, cuda=trt.cuda, device=JETSON, dla=core)


def tensorrt(version: str = OLD, cores: int = 2) -> FakeTensorRT:
    return FakeTensorRT(FakeCuda(), version, cores=cores)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("core", [0, 1])
def test_tensorrt_10_builds_it_from_the_plain_model_by_flags(folder: Path, precision: str, core: int) -> None:
    trt = tensorrt()
    engine = opened(folder, precision, trt, core)
    (config,), (network,) = trt.configs, trt.networks
    assert not network.typed
    assert (config.default_device_type, config.DLA_core) == (DeviceType.DLA, core)
    assert set(config.flags) == {"GPU_FALLBACK", "FP16"} | ({"INT8"} if precision == "int8" else set())
    assert engine.name == f"tensorrt-dla{core}-{precision}"
    given = frames(3)
    np.testing.assert_array_equal(engine.infer(given), by_onnxruntime(folder / "fp32.onnx", given))
    engine.close()


def test_int8_covers_127_scales_of_each_tensor_that_has_one(folder: Path) -> None:
    trt = tensorrt()
    opened(folder, "int8", trt).close()
    (network,) = trt.networks
    tensors = [layer.get_output(0) for layer in network.layers]
    ranges = {tensor.name: tensor.range for tensor in tensors if tensor.range is not None}
    assert ranges == {
        name: pytest.approx((-127 * SCALES[name], 127 * SCALES[name])) for name in list(SCALES)[:3]
    }


def test_it_takes_one_frame_at_a_time_and_its_plan_has_a_name_of_its_own(folder: Path) -> None:
    trt = tensorrt()
    opened(folder, "fp16", trt, 1).close()
    opened(folder, "fp16", trt, 1).close()
    assert trt.builds == 1
    plan = plan_path(model_in(folder, "fp16"), JETSON, 1)
    assert plan.name == "fp16.dla1.plan"
    sidecar = json.loads((plan.parent / "fp16.dla1.plan.json").read_text())
    assert (sidecar["dla"], sidecar["max_batch"], sidecar["profile"]) == (1, 1, [[1, 16, 16, 3]] * 3)


@pytest.mark.parametrize("file", ["fp32.onnx", "int8-tensorrt.scales.json"])
def test_a_plan_of_other_scales_or_another_plain_model_is_stale(folder: Path, file: str) -> None:
    trt = tensorrt()
    opened(folder, "int8", trt).close()
    if file.endswith("json"):
        (folder / file).write_text(json.dumps({**SCALES, "sums": 0.06}))
    else:
        onnx.save(small_model(seed=5), folder / file)
    opened(folder, "int8", trt).close()
    assert trt.builds == 2


def test_tensorrt_11_builds_the_fp16_model_typed_as_it_is_without_a_flag_for_it(folder: Path) -> None:
    trt = tensorrt(NEW)
    engine = opened(folder, "fp16", trt)
    (config,), (network,) = trt.configs, trt.networks
    assert network.typed
    assert config.flags == ["GPU_FALLBACK"]
    np.testing.assert_array_equal(engine.infer(frames(1)), by_onnxruntime(folder / "fp16.onnx", frames(1)))
    engine.close()


def test_tensorrt_11_refuses_int8_since_it_has_no_ranges(folder: Path) -> None:
    with pytest.raises(
        BuildFailed, match=r"TensorRT 11\.4\.1 cannot be given the INT8 ranges.*\nUse --precision fp16"
    ):
        opened(folder, "int8", tensorrt(NEW))


def test_fp32_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(BuildFailed, match="FP16 and INT8 alone, not in fp32"):
        opened(folder, "fp32", tensorrt())


@pytest.mark.parametrize(
    ("version", "cores", "core", "seen"),
    [
        ("11.2.0", 0, 0, "no DLA"),
        (OLD, 1, 1, "core 0 alone"),
        (OLD, 2, 2, "cores 0 to 1"),
        (OLD, 2, -1, "cores 0 to 1"),
    ],
)
def test_a_core_that_is_not_there_is_refused_with_those_that_are(
    folder: Path, version: str, cores: int, core: int, seen: str
) -> None:
    with pytest.raises(BackendUnavailable, match=rf"DLA core {core} is asked for.*sees {seen} here"):
        opened(folder, "fp16", tensorrt(version, cores), core)


@pytest.mark.parametrize("file", ["fp32.onnx", "int8-tensorrt.scales.json"])
def test_a_bundle_without_what_it_is_built_from_says_what_is_missing(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(BuildFailed, match=f"built from {file}, which is not beside int8-tensorrt.onnx"):
        opened(folder, "int8", tensorrt())


def test_scales_of_another_model_are_refused(folder: Path) -> None:
    (folder / "int8-tensorrt.scales.json").write_text('{"elsewhere": 1.0}')
    with pytest.raises(BuildFailed, match="belongs to another one"):
        opened(folder, "int8", tensorrt())


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"x": "wide"}',
        '{"x": 0}',
        '{"x": -1.0}',
        '{"x": NaN}',
        '{"x": 1e999}',
        '{"x": [1]}',
        b"\xff",
    ],
)
def test_a_file_that_holds_no_scales_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "scales.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BuildFailed, match=r"scales\.json does not hold a scale for each tensor"):
        read_scales(path)
