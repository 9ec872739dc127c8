import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecam_engines.backends import Model, open_engine
from edgecam_engines.cuda import find as cuda_module
from edgecam_engines.cuda.calls import Device
from edgecam_engines.cuda.find import probe
from edgecam_engines.engine import Engine, Staged
from edgecam_engines.errors import BackendUnavailable, BundleDamaged, EngineError
from edgecam_engines.tensorrt import opener as runner
from edgecam_engines.tensorrt.opener import open_on, open_plan, plan_path
from edgecam_engines.tensorrt.plan import Sidecar, sidecar_path
from engines.trt_fake import (
    CARD,
    DOWNLOAD_S,
    EXECUTE_S,
    JETSON,
    UPLOAD_S,
    FakeCuda,
    FakeTensorRT,
)
from engines.trt_models import PRECISIONS, by_onnxruntime, frames, needs_device, small_model, write_model


def model_in(folder: Path, precision: str = "fp32") -> Model:
    return Model(write_model(folder, precision), precision.split("-", maxsplit=1)[0], folder / "plans")


def opened(model: Model, device: Device = JETSON, cuda: FakeCuda | None = None, **about: Any) -> Engine:
    cuda = cuda or FakeCuda()
    return open_on(model, trt=FakeTensorRT(cuda, **about), cuda=cuda, device=device)


@pytest.mark.parametrize("device", [JETSON, CARD], ids=["shared memory", "own memory"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_features_are_those_of_onnxruntime_in_float32(tmp_path: Path, precision: str, device: Device) -> None:
    model = model_in(tmp_path, precision)
    engine = opened(model, device)
    for n in (1, 3, 8, 1):
        given = frames(n, seed=n)
        features = engine.infer(given)
        assert features.dtype == np.float32
        np.testing.assert_array_equal(features, by_onnxruntime(model.path, given))
    engine.close()


@pytest.mark.parametrize("device", [JETSON, CARD], ids=["shared memory", "own memory"])
def test_batches_beyond_the_profile_are_run_in_pieces_and_in_order(tmp_path: Path, device: Device) -> None:
    cuda, given = FakeCuda(), frames(19)
    model = model_in(tmp_path)
    engine = opened(model, device, cuda)
    np.testing.assert_array_equal(engine.infer(given), by_onnxruntime(model.path, given))
    runs = [call for call in cuda.calls if call[0] in {"execute", "launch"}]
    assert runs == [("execute", 8), ("launch",), ("execute", 3)]
    engine.close()


def test_a_plan_of_one_fixed_batch_takes_fewer_frames_too(tmp_path: Path) -> None:
    onnx.save(small_model(batch=4), tmp_path / "fp32.onnx")
    engine = opened(Model(tmp_path / "fp32.onnx", "fp32", tmp_path / "plans"))
    padded = np.concatenate([frames(2), frames(2)])
    np.testing.assert_array_equal(engine.infer(frames(2)), by_onnxruntime(tmp_path / "fp32.onnx", padded)[:2])
    engine.close()


def test_the_first_run_goes_call_by_call_and_later_ones_are_one_launch(tmp_path: Path) -> None:
    """Shared memory is never copied by CUDA, and own memory once each way."""
    model = model_in(tmp_path)
    shared, own = FakeCuda(), FakeCuda()
    for device, cuda in ((JETSON, shared), (CARD, own)):
        engine = opened(model, device, cuda)
        for seed in range(3):
            given = frames(2, seed)
            np.testing.assert_array_equal(engine.infer(given), by_onnxruntime(model.path, given))
        engine.close()
    later = [("launch",), ("synchronize",)] * 2
    assert shared.calls == [("execute", 2), ("synchronize",), ("capture",), *later]
    image, features = 16 * 16 * 3, 8 * 8 * 8 * 4  # bytes of one
    first = [("upload", 2 * image), ("execute", 2), ("download", 2 * features), ("synchronize",)]
    assert own.calls == [*first, ("capture",), *later]


@pytest.mark.parametrize("device", [JETSON, CARD], ids=["shared memory", "own memory"])
def test_a_graph_is_recorded_once_for_each_batch_size(tmp_path: Path, device: Device) -> None:
    model, cuda = model_in(tmp_path), FakeCuda()
    engine = opened(model, device, cuda)
    for n in (1, 8, 3, 1, 3, 8, 1):
        given = frames(n, seed=n)
        np.testing.assert_array_equal(engine.infer(given), by_onnxruntime(model.path, given))
    assert cuda.records == 3
    engine.close()
    assert cuda.nothing_held


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model with a plan for each of the two devices."""
    model = model_in(tmp_path_factory.mktemp("built"), "fp16")
    for device in (JETSON, CARD):
        opened(model, device).close()
    return model


@settings(max_examples=40, deadline=None)
@given(
    batches=st.lists(st.integers(1, 20), min_size=1, max_size=8),
    device=st.sampled_from([JETSON, CARD]),
    graphs=st.booleans(),
)
def test_whatever_batches_come_the_features_are_right_and_nothing_is_held_afterwards(
    built_once: Model, batches: list[int], device: Device, graphs: bool
) -> None:
    cuda = FakeCuda(graphs=graphs)
    engine = opened(built_once, device, cuda)
    for seed, n in enumerate(batches):
        given_frames = frames(n, seed)
        np.testing.assert_array_equal(
            engine.infer(given_frames), by_onnxruntime(built_once.path, given_frames)
        )
    engine.close()
    assert cuda.nothing_held


def ticking() -> Callable[[], float]:
    """A clock that is read a second later each time."""
    seconds = count()
    return lambda: float(next(seconds))


@pytest.mark.parametrize("graphs", [True, False], ids=["graphs", "call by call"])
@pytest.mark.parametrize(
    ("device", "copies", "submissions"), [(JETSON, 0, 1), (CARD, 1, 3)], ids=["shared memory", "own memory"]
)
def test_stages_are_told_apart_by_the_gpus_clock_and_the_hosts(
    tmp_path: Path, device: Device, copies: int, submissions: int, graphs: bool
) -> None:
    model, cuda = model_in(tmp_path), FakeCuda(graphs=graphs)
    engine = opened(model, device, cuda)
    assert isinstance(engine, Staged)
    engine.infer(frames(1))
    assert engine.last_stages is None, "nobody has asked for them"
    engine.watch(ticking())
    for n, pieces in ((1, 1), (1, 1), (19, 3), (1, 1)):
        given_frames = frames(n, seed=n)
        np.testing.assert_array_equal(engine.infer(given_frames), by_onnxruntime(model.path, given_frames))
        # The host copies once each way, and is a second busy with each thing that it does.
        assert engine.last_stages == pytest.approx(
            (
                pieces * (1 + copies * UPLOAD_S),
                pieces * submissions,
                pieces * EXECUTE_S,
                pieces * (1 + copies * DOWNLOAD_S),
            )
        )
    engine.close()
    assert cuda.nothing_held


def test_a_watched_engine_still_launches_a_graph_of_what_it_computes(tmp_path: Path) -> None:
    cuda = FakeCuda()
    engine = opened(model_in(tmp_path), CARD, cuda)
    assert isinstance(engine, Staged)
    engine.watch(ticking())
    engine.infer(frames(1))
    cuda.calls.clear()
    engine.infer(frames(1))
    assert [call[0] for call in cuda.calls] == ["upload", "launch", "download", "synchronize"]
    engine.close()


def test_only_a_few_batch_sizes_are_kept_ready_and_the_others_still_right(tmp_path: Path) -> None:
    model, cuda = model_in(tmp_path), FakeCuda()
    engine = opened(model, JETSON, cuda)
    for n in (1, 2, 3, 4, 5, 1, 2):
        given = frames(n, seed=n)
        np.testing.assert_array_equal(engine.infer(given), by_onnxruntime(model.path, given))
        assert len(cuda.graphs) <= 3
    engine.close()
    assert cuda.nothing_held


@pytest.mark.parametrize("device", [JETSON, CARD], ids=["shared memory", "own memory"])
@pytest.mark.parametrize("refuse", ["", "capture"], ids=["CUDA", "TensorRT"])
def test_what_cannot_be_recorded_is_said_once_and_runs_call_by_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], device: Device, refuse: str
) -> None:
    model, cuda = model_in(tmp_path), FakeCuda(graphs=bool(refuse))
    engine = opened(model, device, cuda, refuse=refuse)
    capsys.readouterr()
    for n in (1, 2, 1, 2):
        given = frames(n, seed=n)
        np.testing.assert_array_equal(engine.infer(given), by_onnxruntime(model.path, given))
    engine.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert "runs without a CUDA graph, a little slower: " in line
    assert cuda.records == 0
    assert cuda.nothing_held


def test_features_stay_what_they_are_when_the_next_frame_comes(tmp_path: Path) -> None:
    engine = opened(model_in(tmp_path))
    first = engine.infer(frames(1, seed=1))
    kept = first.copy()
    engine.infer(frames(1, seed=2))
    engine.close()
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("device", [JETSON, CARD], ids=["shared memory", "own memory"])
def test_closing_gives_everything_back_and_may_be_done_twice(tmp_path: Path, device: Device) -> None:
    cuda = FakeCuda()
    engine = opened(model_in(tmp_path), device, cuda)
    engine.infer(frames(2))
    engine.close()
    engine.close()
    assert cuda.nothing_held
    with pytest.raises(EngineError, match="closed"):
        engine.infer(frames(1))


def test_an_engine_that_cannot_be_opened_holds_no_memory(tmp_path: Path) -> None:
    cuda = FakeCuda(pins=1)
    with pytest.raises(EngineError, match="out of memory"):
        opened(model_in(tmp_path), CARD, cuda)
    assert cuda.nothing_held


@pytest.mark.parametrize("call", ["set_input_shape", "set_tensor_address", "execute_async_v3"])
def test_a_refusal_of_tensorrt_is_told_in_its_own_words(tmp_path: Path, call: str) -> None:
    cuda = FakeCuda()
    with pytest.raises(EngineError, match=f"refused {call}.*no {call} today"):
        opened(model_in(tmp_path), JETSON, cuda, refuse=call).infer(frames(1))


def test_frames_of_another_shape_are_refused(tmp_path: Path) -> None:
    engine = opened(model_in(tmp_path))
    assert engine.input_hw == (16, 16)
    with pytest.raises(ValueError, match=r"\(n, 16, 16, 3\)"):
        engine.infer(np.zeros((1, 16, 17, 3), np.uint8))
    engine.close()


def test_the_fake_enforces_what_the_real_libraries_leave_undefined(tmp_path: Path) -> None:
    cuda = FakeCuda()
    engine: Any = opened(model_in(tmp_path), JETSON, cuda)
    contexts, stream = [engine._engine.create_execution_context()], engine._stream
    with pytest.raises(AssertionError, match="before the input's shape"):
        contexts[0].execute_async_v3(stream)
    contexts[0].set_input_shape("image", (1, 16, 16, 3))
    with pytest.raises(AssertionError, match="before all addresses"):
        contexts[0].execute_async_v3(stream)
    with pytest.raises(AssertionError, match="freed"):
        contexts[0].set_tensor_address("image", engine._given.host.ctypes.data)
    contexts[0].set_tensor_address("image", engine._given.address)
    contexts[0].set_tensor_address("features", engine._made.address)
    with pytest.raises(AssertionError, match="before the context had run once"):
        cuda.capture(stream, lambda: contexts[0].execute_async_v3(stream))
    contexts[0].execute_async_v3(stream)
    assert (engine._made.host == 0xAA).all()  # spoilt until it is waited for
    with pytest.raises(AssertionError, match="with work on it"):
        cuda.capture(stream, lambda: None)
    cuda.synchronize(stream)
    assert not (engine._made.host == 0xAA).all()
    with pytest.raises(AssertionError, match="waited for while it was recorded"):
        cuda.capture(stream, lambda: cuda.synchronize(stream))
    with pytest.raises(AssertionError, match="allocated or freed while"):
        cuda.capture(stream, lambda: cuda.allocate(1))
    graph = cuda.capture(stream, lambda: contexts[0].execute_async_v3(stream))
    contexts[0].set_tensor_address("features", engine._given.address)  # the graph keeps the old one
    cuda.launch(graph, stream)
    assert (engine._made.host == 0xAA).all()
    cuda.synchronize(stream)
    assert not (engine._made.host == 0xAA).all()
    contexts.clear()
    cuda.launch(graph, stream)
    with pytest.raises(AssertionError, match="context was let go"):
        cuda.synchronize(stream)
    with pytest.raises(AssertionError, match="not page-locked"):
        cuda.upload(engine._given.address, np.zeros(4, np.uint8), stream)
    cuda.release(engine._made.address)
    with pytest.raises(AssertionError, match="freed"):
        engine.infer(frames(1))


def test_a_plan_is_built_once_with_one_line_and_then_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, cuda = model_in(tmp_path), FakeCuda()
    trt = FakeTensorRT(cuda)
    for _ in range(2):
        open_on(model, trt=trt, cuda=cuda, device=JETSON).close()
    assert trt.builds == 1
    assert (tmp_path / "plans" / "orin-sm87" / "fp32.plan").is_file()
    line, summary = capsys.readouterr().err.splitlines()
    assert "no TensorRT plan fp32.plan" in line
    assert "Building it from fp32.onnx" in line
    assert summary == "fp32.plan has 0 layers."


def other_tensorrt(model: Model) -> None:
    opened(model, version="10.16.1").close()


def other_gpu(model: Model) -> None:
    """A folder of plans that somebody copied from another machine and renamed."""
    opened(model, CARD).close()
    shutil.move(plan_path(model, CARD).parent, plan_path(model, JETSON).parent)


def other_onnx(model: Model) -> None:
    opened(model).close()
    onnx.save(small_model(seed=5), model.path)


def broken_sidecar(model: Model) -> None:
    opened(model).close()
    sidecar_path(plan_path(model, JETSON)).write_text("{")


def lost_plan(model: Model) -> None:
    opened(model).close()
    plan_path(model, JETSON).unlink()


@pytest.mark.parametrize(
    ("happened", "line"),
    [
        (other_tensorrt, "built by tensorrt 10.16.1, but here is tensorrt 10.3.0"),
        (other_gpu, "built for A card (8.6), but this GPU is Orin (8.7)"),
        (other_onnx, "built from another fp32.onnx"),
        (broken_sidecar, "fp32.plan.json is not what edgecam writes"),
        (lost_plan, "not in its folder any more"),
    ],
)
def test_a_stale_plan_is_named_in_one_line_and_built_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], happened: Any, line: str
) -> None:
    model = model_in(tmp_path)
    happened(model)
    capsys.readouterr()
    engine = opened(model)
    told, _ = capsys.readouterr().err.splitlines()
    assert line in told
    np.testing.assert_array_equal(engine.infer(frames(1)), by_onnxruntime(model.path, frames(1)))
    engine.close()


def test_a_plan_that_tensorrt_cannot_load_is_built_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_in(tmp_path)
    opened(model, version="10.16.1").close()
    sidecar = sidecar_path(plan_path(model, JETSON))
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "tensorrt": "10.3.0"}))
    capsys.readouterr()
    opened(model).close()
    told, _ = capsys.readouterr().err.splitlines()
    assert "cannot load the plan" in told
    assert "the engine plan file is from 10.16.1" in told


def another(value: Any) -> Any:
    """A value of the same kind that is not this one."""
    if isinstance(value, list):
        return [[side + 1 for side in shape] for shape in value]
    return 1 if value is None else value + 1 if isinstance(value, int) else f"{value}x"


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Sidecar)])
def test_every_field_of_the_sidecar_is_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str
) -> None:
    """Whichever differs, the plan is built again, or refused where only tampering explains it."""
    model = model_in(tmp_path)
    opened(model).close()
    sidecar = sidecar_path(plan_path(model, JETSON))
    right = sidecar.read_text()
    document = json.loads(right)
    sidecar.write_text(json.dumps({**document, field: another(document[field])}))
    capsys.readouterr()
    if field == "plan_sha256":
        with pytest.raises(BundleDamaged, match="was changed since it was built"):
            opened(model)
        return
    opened(model).close()
    line, _ = capsys.readouterr().err.splitlines()
    assert "Building it from fp32.onnx; this takes some minutes, once." in line
    assert json.loads(sidecar.read_text()) == document


def test_a_plan_that_was_changed_is_refused_before_tensorrt_sees_it(tmp_path: Path) -> None:
    model = model_in(tmp_path)
    opened(model).close()
    plan = plan_path(model, JETSON)
    content = bytearray(plan.read_bytes())
    content[len(content) // 2] ^= 1
    plan.write_bytes(content)
    with pytest.raises(BundleDamaged, match=r"fp32\.plan was changed.*\nDelete .*orin-sm87"):
        opened(model)


@pytest.mark.skipif(probe().device is not None, reason="this machine has an NVIDIA GPU")
def test_without_a_gpu_the_message_says_so_and_tensorrt_is_not_even_imported(tmp_path: Path) -> None:
    # A stand-in that kills the process on import, as the real libraries may without a device.
    (tmp_path / "tensorrt.py").write_text("import os\nos.abort()\n")
    script = (
        "import sys; from pathlib import Path\n"
        "sys.path[:0] = sys.argv[1:]\n"
        "from edgecam_engines.backends import Model, open_engine\n"
        "from edgecam_engines.errors import BackendUnavailable\n"
        "try:\n    open_engine('tensorrt', Model(Path('m.onnx'), 'int8', Path('plans')))\n"
        "except BackendUnavailable as error:\n    print(error)\n"
    )
    roots = [str(tmp_path), str(Path(runner.__file__).parents[1])]
    done = subprocess.run(
        [sys.executable, "-c", script, *roots], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.strip().splitlines()
    assert first.startswith("TensorRT needs an NVIDIA GPU")
    assert last.strip() == "edgecam build-engine RUN --out NAME.edgecam --backend onnxruntime"


def test_a_gpu_without_tensorrt_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "open_cuda", lambda: (FakeCuda(), JETSON))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(BackendUnavailable, match="apt install python3-libnvinfer"):
        open_plan(Model(tmp_path / "m.onnx", "fp32", tmp_path / "plans"))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("mark", [pytest.param("", marks=needs_device)])
def test_a_plan_built_and_run_on_this_device_agrees_with_onnxruntime(
    tmp_path: Path, precision: str, mark: str
) -> None:
    assert cuda_module.probe().device is not None
    model = model_in(tmp_path, precision)
    engine = open_engine("tensorrt", model)
    given = frames(11)
    expected = by_onnxruntime(model.path, given)
    error = np.abs(engine.infer(given) - expected).max() / np.abs(expected).max()
    engine.close()
    assert error < (0.05 if precision == "int8" else 0.01)
