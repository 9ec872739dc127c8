"""What was asked is what runs, or an error. The fake falls back in silence, as ONNX Runtime does."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecam_engines import providers
from edgecam_engines.backends import Model, open_engine
from edgecam_engines.errors import BackendUnavailable, EngineError
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_engines.providers import CPU, CUDA, OPENVINO, TENSORRT, open_session
from edgecam_engines.tensorrt.graph import cast_first
from engines.trt_models import by_onnxruntime, frames, small_model

CONTENT = small_model().SerializeToString()


class Node(NamedTuple):
    name: str
    op_type: str


class Part:
    """Nodes that went to one provider."""

    def __init__(self, ep_name: str, nodes: list[Node]) -> None:
        self.ep_name, self._nodes = ep_name, nodes

    def get_nodes(self) -> list[Node]:
        return self._nodes


class FakeSession:
    """Runs what it can on the provider asked for and the rest on the CPU, without a word."""

    def __init__(self, runtime: "FakeRuntime", settings: Any, asked: list[tuple[str, Any]]) -> None:
        self._asked, self._runtime, self.settings, self.fallback = asked[0], runtime, settings, True
        if runtime.left_over and self.forbidden:
            raise RuntimeError("This session contains graph nodes that are assigned to the default CPU EP")

    @property
    def forbidden(self) -> bool:
        """Whether falling back node by node was switched off, by versions that know how."""
        entry = "session.disable_cpu_ep_fallback"
        return self._runtime.knows_entry and self.settings.has_entry(entry)

    def get_providers(self) -> list[str]:
        return [self._asked[0], CPU.name] if self._runtime.device else [CPU.name]

    def get_provider_graph_assignment_info(self) -> list[Part]:
        rest = self._runtime.left_over
        return [Part(self._asked[0], [Node("Conv_0", "Conv")]), *([Part(CPU.name, rest)] if rest else [])]

    def disable_fallback(self) -> None:
        self.fallback = False


class FakeSettings:
    def __init__(self) -> None:
        self._entries: dict[str, str] = {}

    def add_session_config_entry(self, key: str, value: str) -> None:
        self._entries[key] = value

    def has_entry(self, key: str) -> bool:
        return self._entries.get(key) == "1"


class FakeRuntime:
    """The module onnxruntime on a machine of our choice."""

    __version__ = "1.99"
    SessionOptions = FakeSettings

    def __init__(
        self,
        *built_in: str,
        device: bool = True,
        left_over: tuple[Node, ...] = (),
        knows_entry: bool = True,
    ) -> None:
        self._built_in, self.device, self.left_over = built_in, device, list(left_over)
        self.knows_entry = knows_entry

    def get_available_providers(self) -> list[str]:
        return [*self._built_in, CPU.name]

    def InferenceSession(
        self,
        content: bytes,
        settings: Any,
        *,
        providers: list[tuple[str, Any]],
        enable_fallback: int,
        disabled_optimizers: list[str],
    ) -> FakeSession:
        assert content == CONTENT
        assert disabled_optimizers == ["WeightBiasQuantization"]
        assert not enable_fallback
        return FakeSession(self, settings, providers)


@pytest.mark.parametrize("provider", [CUDA, TENSORRT, OPENVINO], ids=lambda provider: provider.backend)
def test_a_provider_that_runs_all_of_the_graph_is_taken_and_never_falls_back_later(
    provider: providers.Provider,
) -> None:
    session = open_session(FakeRuntime(provider.name), CONTENT, "m.onnx", provider=provider)
    assert not session.fallback


def test_a_provider_that_is_not_built_in_is_refused_with_the_package_that_has_it() -> None:
    with pytest.raises(
        BackendUnavailable, match=r"1\.99\) has no CUDA.*it has: CPU\.(.|\n)*install onnxruntime-gpu"
    ):
        open_session(FakeRuntime(), CONTENT, "m.onnx", provider=CUDA)


def test_a_provider_whose_device_is_missing_is_refused_though_a_session_opened() -> None:
    with pytest.raises(BackendUnavailable, match=r"did not start CUDA.*would run on CPUExecutionProvider"):
        open_session(FakeRuntime(CUDA.name, device=False), CONTENT, "m.onnx", provider=CUDA)


@pytest.mark.parametrize("knows_entry", [True, False])
def test_one_node_left_to_the_processor_is_refused_whichever_way_it_is_told(knows_entry: bool) -> None:
    runtime = FakeRuntime(CUDA.name, left_over=(Node("Softmax_7", "Softmax"),), knows_entry=knows_entry)
    with pytest.raises(EngineError, match=r"CUDAExecutionProvider cannot run all of m\.onnx"):
        open_session(runtime, CONTENT, "m.onnx", provider=CUDA)


def test_the_node_left_over_is_named_where_onnx_runtime_tells() -> None:
    runtime = FakeRuntime(CUDA.name, left_over=(Node("Softmax_7", "Softmax"),), knows_entry=False)
    with pytest.raises(EngineError, match="leaves Softmax_7 to the processor"):
        open_session(runtime, CONTENT, "m.onnx", provider=CUDA)


# -- the real one


@pytest.mark.parametrize("backend", ["onnxruntime-cuda", "onnxruntime-openvino"])
def test_this_machines_onnx_runtime_refuses_what_it_lacks(tmp_path: Path, backend: str) -> None:
    provider = {CUDA.backend: CUDA, OPENVINO.backend: OPENVINO}[backend]
    path = tmp_path / "m.onnx"
    path.write_bytes(CONTENT)
    if provider.name in onnxruntime.get_available_providers():
        open_engine(backend, Model(path, "fp32", tmp_path)).close()
    else:
        with pytest.raises(BackendUnavailable, match=f"pip install {provider.package}"):
            open_engine(backend, Model(path, "fp32", tmp_path))


def test_the_loop_gets_one_thread_that_does_not_spin() -> None:
    session = open_session(onnxruntime, CONTENT, "m.onnx")
    settings = session.get_session_options()
    assert (settings.intra_op_num_threads, settings.inter_op_num_threads) == (1, 1)
    for pool in ("intra_op", "inter_op"):
        assert settings.get_session_config_entry(f"session.{pool}.allow_spinning") == "0"
    assert (
        open_session(onnxruntime, CONTENT, "m.onnx", threads=3).get_session_options().intra_op_num_threads
        == 3
    )


def test_every_option_of_tensorrt_is_one_that_the_provider_documents(tmp_path: Path) -> None:
    """Names as in ONNX Runtime's page on its TensorRT provider; a misspelt one would be an error there."""
    options = providers.tensorrt_options("int8", tmp_path)
    assert options == {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(tmp_path),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(tmp_path),
        "trt_fp16_enable": "False",
        "trt_int8_enable": "True",
    }


def test_for_tensorrt_the_bytes_are_cast_before_they_are_moved_and_the_numbers_stay() -> None:
    changed = cast_first(CONTENT, "m.onnx")
    assert [node.op_type for node in onnx.load_from_string(changed).graph.node][:2] == ["Cast", "Transpose"]
    np.testing.assert_array_equal(by_onnxruntime(changed, frames(3)), by_onnxruntime(CONTENT, frames(3)))


# -- batches


def opened(tmp_path: Path, batch: int | str) -> OnnxRuntimeEngine:
    path = tmp_path / "m.onnx"
    onnx.save(small_model(batch=batch), path)
    return OnnxRuntimeEngine(path, name="small")


@pytest.mark.parametrize("batch", ["n", 1, 4])
@pytest.mark.parametrize("n", [1, 3, 4, 9, 33])
def test_a_batch_of_any_size_gives_what_its_frames_give_alone(
    tmp_path: Path, batch: int | str, n: int
) -> None:
    given = frames(n)
    with closing(opened(tmp_path, batch)) as engine:
        together = engine.infer(given)
    with closing(opened(tmp_path, "n")) as engine:
        alone = np.concatenate([engine.infer(frame[None]) for frame in given])
    np.testing.assert_allclose(together, alone, atol=1e-5 * np.abs(alone).max(), rtol=0)


@pytest.mark.parametrize(("batch", "most"), [("n", 16), (1, 1), (4, 4)])
def test_no_execution_takes_more_frames_than_memory_is_meant_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int | str, most: int
) -> None:
    engine = opened(tmp_path, batch)
    taken, run = [], engine._session.run

    def counted(names: list[str], given: dict[str, Any]) -> Any:
        taken.extend(len(value) for value in given.values())
        return run(names, given)

    monkeypatch.setattr(engine, "_session", type("Counted", (), {"run": staticmethod(counted)}))
    assert len(engine.infer(frames(50))) == 50
    assert max(taken) == most
    assert len(taken) == -(-50 // most)


# -- models that break only when they run


def one_node(path: Path, node: Any, out: list[Any], *constants: Any) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT), node],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 16, 16, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        list(constants),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: helper.make_node("Reshape", ["x", "shape"], ["y"]), "could not run"),
        (
            lambda: helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2], keepdims=0),
            "not one feature map",
        ),
    ],
    ids=["a shape that does not fit", "no map"],
)
def test_a_model_that_breaks_when_it_runs_is_an_engine_error(
    tmp_path: Path, make: Callable[[], Any], what: str
) -> None:
    shape = numpy_helper.from_array(np.array([1, 7, 5, 3]), "shape")
    engine = OnnxRuntimeEngine(one_node(tmp_path / "m.onnx", make(), [None, None], shape), name="broken")
    with closing(engine), pytest.raises(EngineError, match=what):
        engine.infer(frames(2))
