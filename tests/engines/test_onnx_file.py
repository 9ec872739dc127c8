"""A model that points out of its folder, at a device, at memory or at a loop without end is not opened."""

import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecam_engines import onnx_file
from edgecam_engines.backends import Model, open_engine
from edgecam_engines.errors import EngineError
from edgecam_engines.onnx_file import look_into_onnx, read_onnx
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from engines.trt_models import by_onnxruntime, frames, small_model


def outside(model: onnx.ModelProto, location: str, **entries: object) -> onnx.ModelProto:
    """The model with its weight as external data."""
    (weight,) = [tensor for tensor in model.graph.initializer if tensor.name == "weight"]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=str(value))
    return model


def weight_bytes() -> bytes:
    (weight,) = [tensor for tensor in small_model().graph.initializer if tensor.name == "weight"]
    return numpy_helper.to_array(weight).tobytes()


def save(model: onnx.ModelProto, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


def test_a_model_without_external_data_is_read_as_it_is(tmp_path: Path) -> None:
    path = save(small_model(), tmp_path)
    assert read_onnx(path) == path.read_bytes()


@pytest.mark.parametrize("where", ["weights.bin", "deep/down/weights.bin"])
def test_external_data_in_its_own_folder_is_taken_in(tmp_path: Path, where: str) -> None:
    file = tmp_path / where
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"before" + weight_bytes() + b"after")
    path = save(outside(small_model(), where, offset=6, length=len(weight_bytes())), tmp_path)
    with closing(OnnxRuntimeEngine(path, name="x")) as engine:
        wanted = by_onnxruntime(small_model().SerializeToString(), frames(2))
        np.testing.assert_allclose(engine.infer(frames(2)), wanted, atol=1e-5)


@pytest.mark.parametrize("location", ["../weights.bin", "deep/../../weights.bin", "{absolute}", "link.bin",
                                      "linked/weights.bin", "", "a\\b"
])  # fmt: skip
@pytest.mark.parametrize("backend", ["onnxruntime", "read"])
def test_external_data_anywhere_else_is_refused_whoever_gives_the_model(
    tmp_path: Path, location: str, backend: str
) -> None:
    secret = tmp_path / "weights.bin"
    secret.write_bytes(weight_bytes())
    folder = tmp_path / "given"
    path = save(outside(small_model(), location.format(absolute=secret)), folder)
    (folder / "link.bin").symlink_to(secret)
    (folder / "linked").symlink_to(tmp_path)
    with pytest.raises(EngineError, match="leads out of its folder"):
        read_onnx(path) if backend == "read" else open_engine(backend, Model(path, "fp32", tmp_path))


def test_an_address_in_memory_is_no_place_for_weights(tmp_path: Path) -> None:
    """ONNX Runtime takes this location for a pointer, and its offset for where to read."""
    path = save(outside(small_model(), "*/_ORT_MEM_ADDR_/*", offset=4096, length=864), tmp_path)
    with pytest.raises(EngineError, match="No such file"):
        open_engine("onnxruntime", Model(path, "fp32", tmp_path))


@pytest.mark.parametrize("kind", ["attribute", "subgraph", "function"])
def test_external_data_is_found_wherever_a_model_can_hold_a_tensor(tmp_path: Path, kind: str) -> None:
    model = small_model()
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "hidden")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    constant = helper.make_node("Constant", [], ["hidden"], "c", value=tensor)
    if kind == "attribute":
        model.graph.node.append(constant)
    elif kind == "subgraph":
        branch = helper.make_graph([constant], "b", [], [])
        model.graph.node.append(
            helper.make_node("If", ["image"], ["z"], then_branch=branch, else_branch=branch)
        )
    else:
        model.functions.append(
            helper.make_function("d", "F", [], ["hidden"], [constant], [helper.make_opsetid("", 17)])
        )
    with pytest.raises(EngineError, match=r"'hidden' lie at '\.\./secret', which leads out"):
        read_onnx(save(model, tmp_path / "given"))


@pytest.mark.parametrize(
    "entries", [{"offset": -1}, {"length": 10**9}, {"offset": 10**30}, {"offset": "x"}, {"length": -5}]
)
def test_external_data_beyond_its_file_is_refused(tmp_path: Path, entries: dict[str, Any]) -> None:
    (tmp_path / "weights.bin").write_bytes(weight_bytes())
    with pytest.raises(EngineError, match="cannot be used"):
        read_onnx(save(outside(small_model(), "weights.bin", **entries), tmp_path))


def test_many_tensors_that_share_one_file_do_not_multiply_it_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "LIMIT", 100_000)
    (tmp_path / "weights.bin").write_bytes(bytes(40_000))
    model = small_model()
    for number in range(5):
        tensor = model.graph.initializer.add(
            name=f"copy {number}", data_type=TensorProto.FLOAT, dims=[10_000]
        )
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
    with pytest.raises(EngineError, match="with its external data it is larger than 100000 bytes"):
        read_onnx(save(model, tmp_path))


@pytest.mark.parametrize("kind", onnx_file.REFUSED)
def test_nodes_that_load_other_files_or_may_never_end_are_refused(tmp_path: Path, kind: str) -> None:
    model = small_model()
    model.graph.node.append(helper.make_node(kind, ["image"], ["z"], "sly", domain="com.microsoft"))
    with pytest.raises(EngineError, match=rf"'sly' is a {kind}"):
        read_onnx(save(model, tmp_path))


@pytest.mark.parametrize("read", [read_onnx, look_into_onnx])
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], None], read: Callable[[Path], object]
) -> None:
    make(tmp_path / "m.onnx")
    with pytest.raises(EngineError, match=r"not a regular file|Is a directory"):
        read(tmp_path / "m.onnx")


def test_who_only_looks_opens_nothing_that_the_file_points_to(tmp_path: Path) -> None:
    """The same file that `read_onnx` refuses, with the pipe that it points to: opening that would hang."""
    os.mkfifo(tmp_path / "weights.bin")
    path = save(outside(small_model(), "weights.bin"), tmp_path)
    with pytest.raises(EngineError, match="not a regular file"):
        read_onnx(path)
    (weights,) = [t for t in look_into_onnx(path).graph.initializer if t.external_data]
    assert not weights.raw_data


def test_a_model_without_a_node_is_none(tmp_path: Path) -> None:
    model = small_model()
    del model.graph.node[:]
    with pytest.raises(EngineError, match="it has no nodes"):
        look_into_onnx(save(model, tmp_path))


def test_a_device_without_end_is_no_file() -> None:
    with pytest.raises(EngineError, match="not a regular file"):
        read_onnx(Path("/dev/zero"))


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    """It has no blocks on the disk, and would have 8 GB in memory."""
    with (tmp_path / "m.onnx").open("wb") as file:
        file.truncate(8 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(EngineError, match="larger than"):
        read_onnx(tmp_path / "m.onnx")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


# -- in a bundle, every byte is vouched for


def test_in_a_bundle_the_bytes_that_are_parsed_are_those_that_were_hashed(tmp_path: Path) -> None:
    path = save(small_model(), tmp_path)
    digests = {path: hashlib.sha256(path.read_bytes()).hexdigest()}
    open_engine("onnxruntime", Model(path, "fp32", tmp_path, 1, digests)).close()
    path.write_bytes(small_model(seed=1).SerializeToString())  # after the bundle was opened
    with pytest.raises(EngineError, match="was changed since"):
        open_engine("onnxruntime", Model(path, "fp32", tmp_path, 1, digests))


def test_in_a_bundle_external_data_must_be_listed_too(tmp_path: Path) -> None:
    path = save(outside(small_model(), "weights.bin"), tmp_path)
    (tmp_path / "weights.bin").write_bytes(weight_bytes())
    digests = {path: hashlib.sha256(path.read_bytes()).hexdigest()}
    with pytest.raises(EngineError, match=r"does not list weights\.bin"):
        read_onnx(path, digests)
    digests[tmp_path / "weights.bin"] = hashlib.sha256(weight_bytes()).hexdigest()
    assert len(read_onnx(path, digests)) > len(weight_bytes())


def test_reading_a_plain_model_does_not_import_onnx(tmp_path: Path) -> None:
    """The camera's start is short because of it."""
    path = save(small_model(), tmp_path)
    code = (
        "import sys; from pathlib import Path; from edgecam_engines.onnx_file import read_onnx; "
        "read_onnx(Path(sys.argv[1])); sys.exit('onnx' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    assert subprocess.run([sys.executable, "-c", code, path], env=environment, check=False).returncode == 0
