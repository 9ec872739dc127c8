"""What every engine promises, whatever runs it."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from edgecam_engines.backends import BACKENDS, Model, open_engine
from edgecam_engines.cuda.find import probe
from edgecam_engines.engine import Engine, Frames
from edgecam_engines.errors import EngineError
from edgecam_engines.providers import OPENVINO
from engines.trt_models import needs_device

Opener = Callable[[], Engine]

# Name -> back end, precision, and the run's model; each is opened as a bundle would open it.
ENGINES = {
    "fixed": ("fixed", "fp32", "fixed"),
    "onnxruntime-fp32": ("onnxruntime", "fp32", "fp32"),
    "onnxruntime-fp16": ("onnxruntime", "fp16", "fp16"),
    "onnxruntime-int8": ("onnxruntime", "int8", "int8-cpu"),
    "onnxruntime-openvino-fp32": ("onnxruntime-openvino", "fp32", "fp32"),
    "onnxruntime-openvino-fp16": ("onnxruntime-openvino", "fp16", "fp16"),
    "onnxruntime-openvino-int8": ("onnxruntime-openvino", "int8", "int8-cpu"),
    "onnxruntime-cuda-fp32": ("onnxruntime-cuda", "fp32", "fp32"),
    "onnxruntime-cuda-fp16": ("onnxruntime-cuda", "fp16", "fp16"),
    "onnxruntime-cuda-int8": ("onnxruntime-cuda", "int8", "int8-tensorrt"),
    "onnxruntime-tensorrt-fp32": ("onnxruntime-tensorrt", "fp32", "fp32"),
    "onnxruntime-tensorrt-fp16": ("onnxruntime-tensorrt", "fp16", "fp16"),
    "onnxruntime-tensorrt-int8": ("onnxruntime-tensorrt", "int8", "int8-tensorrt"),
    "tensorrt-fp32": ("tensorrt", "fp32", "fp32"),
    "tensorrt-fp16": ("tensorrt", "fp16", "fp16"),
    "tensorrt-int8": ("tensorrt", "int8", "int8-tensorrt"),
    "tensorrt-dla0-fp16": ("tensorrt-dla0", "fp16", "fp16"),
    "tensorrt-dla1-fp16": ("tensorrt-dla1", "fp16", "fp16"),
}
ON_DEVICE = [name for name, (backend, *_) in ENGINES.items() if "tensorrt" in backend or "cuda" in backend]
# The package with this provider replaces `onnxruntime`; run these tests in an environment that has it.
ELSEWHERE = [] if OPENVINO.name in ort.get_available_providers() else ["onnxruntime-openvino"]
HERE = [name for name, (backend, *_) in ENGINES.items() if backend not in ELSEWHERE]
PARAMS = [pytest.param(n, marks=needs_device if n in ON_DEVICE else []) for n in HERE]


@pytest.fixture(scope="module", params=PARAMS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def opener(name: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opener:
    backend, precision, file = ENGINES[name]
    folder = tmp_path_factory.mktemp("engine")
    if backend == "fixed":
        path = folder / "fixed.json"
        path.write_text('{"input_hw": [96, 128], "stride": 16}')
    else:
        path = request.getfixturevalue("models").path(file)
    return lambda: open_engine(backend, Model(path, precision, folder / "plans"))


@pytest.fixture(scope="module")
def engine(opener: Opener) -> Iterator[Engine]:
    with closing(opener()) as opened:
        yield opened


def frames_for(engine: Engine, n: int) -> Frames:
    """Soft blobs of colour: a network makes more of them than of noise."""
    h, w = engine.input_hw
    coarse = np.random.default_rng(n).integers(0, 256, (n, h // 16, w // 16, 3))
    return coarse.repeat(16, axis=1).repeat(16, axis=2).astype(np.uint8)


def tolerance(name: str) -> float:
    """What another batch size may change: kernels add up in another order."""
    return 0.02 if "fp16" in name else 1e-4


def test_every_back_end_is_under_the_contract() -> None:
    assert {backend for backend, _, _ in ENGINES.values()} == set(BACKENDS)


def test_its_name_says_back_end_and_precision(engine: Engine, name: str) -> None:
    backend, precision, _ = ENGINES[name]
    assert engine.name == f"{backend}-{precision}"


@pytest.mark.parametrize("n", [1, 2, 5])
def test_features_are_finite_float32_one_map_a_frame(engine: Engine, n: int) -> None:
    features = engine.infer(frames_for(engine, n))
    h, w = engine.input_hw
    assert features.dtype == np.float32
    assert features.ndim == 4
    assert (features.shape[0], *features.shape[2:]) == (n, h // 16, w // 16)
    assert np.isfinite(features).all()
    assert features.std() > 0.01


def test_a_batch_gives_what_its_frames_give_one_by_one(engine: Engine, name: str) -> None:
    frames = frames_for(engine, 4)
    together = engine.infer(frames)
    alone = np.concatenate([engine.infer(frame[None]) for frame in frames])
    np.testing.assert_allclose(together, alone, atol=tolerance(name) * np.abs(alone).max(), rtol=0)


def test_the_same_frames_give_the_same_features(engine: Engine) -> None:
    frames = frames_for(engine, 2)
    first = engine.infer(frames).copy()
    engine.infer(frames_for(engine, 3))
    np.testing.assert_array_equal(engine.infer(frames), first)


def test_features_stay_as_they_are_when_the_next_frame_comes(engine: Engine) -> None:
    kept = engine.infer(frames_for(engine, 1))
    before = kept.copy()
    engine.infer(255 - frames_for(engine, 1))
    np.testing.assert_array_equal(kept, before)


def test_the_frames_are_only_read(engine: Engine) -> None:
    frames = frames_for(engine, 2)
    before = frames.copy()
    frames.setflags(write=False)
    engine.infer(frames)
    np.testing.assert_array_equal(frames, before)


def test_frames_need_not_lie_in_one_piece(engine: Engine) -> None:
    frames = frames_for(engine, 2)
    mirrored = frames[:, :, ::-1]
    np.testing.assert_array_equal(engine.infer(mirrored), engine.infer(mirrored.copy()))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frames: frames[0],
        lambda frames: frames[:0],
        lambda frames: frames[:, :-1],
        lambda frames: frames[:, :, :-1],
        lambda frames: frames[..., :1],
        lambda frames: frames.transpose(0, 3, 1, 2),
        lambda frames: frames.transpose(0, 2, 1, 3),
        lambda frames: frames.astype(np.float32),
        lambda frames: frames.astype(np.int8),
    ],
    ids="no batch,empty,low,narrow,grey,planes first,turned,float,signed".split(","),  # noqa: SIM905
)
def test_what_is_no_batch_of_its_frames_is_refused(engine: Engine, spoil: Any) -> None:
    with pytest.raises(ValueError, match=r"takes uint8 frames of shape \(n, 96, 128, 3\)"):
        engine.infer(spoil(frames_for(engine, 2)))


def test_after_closing_twice_it_says_that_it_is_closed(opener: Opener) -> None:
    engine = opener()
    frames = frames_for(engine, 1)
    engine.infer(frames)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer(frames)


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize("content", [None, b"", b"\x00\x01 no model"])
def test_a_file_that_is_no_model_is_an_engine_error(
    backend: str, content: bytes | None, tmp_path: Path
) -> None:
    if backend.startswith("tensorrt") and probe().device is not None:
        pytest.skip("with a GPU this starts a build; the builder's tests cover it")
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineError):
        open_engine(backend, Model(path, "fp32", tmp_path / "plans"))


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (TensorProto.FLOAT, ["n", 16, 16, 3]),
        (TensorProto.UINT8, ["n", 3, 16, 16]),
        (TensorProto.UINT8, ["n", "h", "w", 3]),
        (TensorProto.UINT8, [16, 16, 3]),
        (TensorProto.UINT8, [2**40, 16, 16, 3]),
        (TensorProto.UINT8, ["n", 2**40, 16, 3]),
    ],
    ids=["float", "planes first", "any size", "no batch", "absurd batch", "absurd size"],
)
def test_a_model_that_takes_other_images_is_refused_with_what_it_takes(
    tmp_path: Path, kind: int, shape: list[int | str]
) -> None:
    graph = helper.make_graph(
        [helper.make_node("Cast", ["image"], ["features"], to=TensorProto.FLOAT)],
        "other",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10),
        tmp_path / "other.onnx",
    )
    with pytest.raises(EngineError, match=r"other\.onnx takes .*not one uint8 image"):
        open_engine("onnxruntime", Model(tmp_path / "other.onnx", "fp32", tmp_path))
