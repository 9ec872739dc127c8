"""A bundle for other tools: the exported graph answers as the bundle does, or there is no file."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from conftest import Models
from edgecam_calibration.run import Run
from edgecam_engines.bundle import Bundle, open_bundle, write_manifest
from edgecam_engines.engine import Frames
from edgecam_engines.errors import BundleError, DataError, EngineError, OutputError
from edgecam_engines.export import bundle as exporting
from edgecam_engines.export.bundle import Order, export_bundle
from edgecam_engines.export.graph import append_head
from edgecam_engines.export.triton import config, model_name
from edgecam_engines.head import Head, save_head
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from engines.trt_models import frames as small_frames
from engines.trt_models import small_model

PRECISIONS = ("fp32", "fp16", "int8-cpu", "int8-tensorrt")
NIGHT = Head(
    np.linspace(-1, 1, 3 * 64, dtype=np.float32).reshape(3, 64),
    np.array([0.5, -1, 2], np.float32),
    ("dark, or nearly", "grey", "bright\nlight"),
    temperature=2.5,
)


@pytest.fixture(scope="module")
def bundle(
    models: Models, finished_run: Run, val_frames: Frames, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """Every model, two heads, and six photos of its own."""
    folder = tmp_path_factory.mktemp("export") / "my line.edgecam"
    for name, file in models.files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(models.path(name).read_bytes())
    save_head(finished_run.head, folder / "heads" / "base.safetensors")
    save_head(NIGHT, folder / "heads" / "night.safetensors")
    (folder / "golden").mkdir()
    for number, frame in enumerate(val_frames[::10]):
        assert cv2.imwrite(str(folder / "golden" / f"{number}.png"), frame)
    write_manifest(
        folder,
        {
            "name": "line",
            "created": "2026-01-01T00:00:00Z",
            "edgecam": "0.1.0",
            "classes": list(finished_run.head.classes),
            "input_hw": [96, 128],
            "feature_dhw": [64, 6, 8],
            "engine": {"backend": "onnxruntime", "precision": "int8", "model": models.files["int8-cpu"]},
            "models": models.files,
            "heads": {"base": "heads/base.safetensors", "night": "heads/night.safetensors"},
            "head": "base",
            "gate": {},
            "calibration": {},
            "provenance": {},
        },
    )
    return open_bundle(folder)


def session_of(path: Path, *, fuse: bool = True) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if not fuse:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("head", ["base", "night"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_and_head_answers_in_plain_onnx_as_in_the_bundle(
    bundle: Bundle, tmp_path: Path, val_frames: Frames, precision: str, head: str
) -> None:
    out = tmp_path / "model.onnx"
    order = Order("onnx", precision=precision, head=head, probabilities=True)
    written = export_bundle(bundle, out, order)
    fuse = precision != "int8-tensorrt"
    given = val_frames[3:8]
    logits, cam, probabilities = session_of(out, fuse=fuse).run(None, {"frames": given})
    used = bundle.head(head)
    path = bundle.path / bundle.manifest.models[precision]
    with closing(OnnxRuntimeEngine(path, name="x", fuse=fuse)) as engine:
        features = engine.infer(given)
    wanted = used.logits(features)
    np.testing.assert_allclose(logits, wanted, atol=1e-4 * np.abs(wanted).max())
    np.testing.assert_allclose(probabilities, used.probabilities(wanted), atol=1e-4)
    for k in range(len(used.classes)):
        one = used.cam(features, [k] * len(given))
        np.testing.assert_allclose(cam[:, k], one, atol=1e-4 * np.abs(one).max())
    np.testing.assert_allclose(cam.mean(axis=(2, 3)) + used.bias, logits, atol=1e-3 * np.abs(logits).max())
    assert written["outputs"] == {
        "logits": ["n", len(used.classes)],
        "cam": ["n", len(used.classes), 6, 8],
        "probabilities": ["n", len(used.classes)],
    }
    assert written["checked"]["photos"] == 6
    onnx.checker.check_model(onnx.load(out), full_check=True)


def test_the_file_says_what_its_input_and_classes_are(bundle: Bundle, tmp_path: Path) -> None:
    export_bundle(bundle, tmp_path / "m.onnx", Order("onnx", head="night", precision="fp32"))
    about = session_of(tmp_path / "m.onnx").get_modelmeta().custom_metadata_map
    assert tuple(json.loads(about["classes"])) == NIGHT.classes
    assert float(about["temperature"]) == 2.5
    image = json.loads(about["input"])
    assert (image["height"], image["width"], image["channels"], image["layout"]) == (96, 128, "BGR", "NHWC")
    assert (image["fit"], image["interpolation"], image["name"]) == ("stretch", "linear", "frames")
    file = bundle.manifest.models["fp32"]
    assert about["source_sha256"] == bundle.manifest.files[file]["sha256"]
    assert (about["head"], about["precision"]) == ("night", "fp32")


def test_what_ships_is_exported_unless_asked_otherwise_and_int8_is_that_of_the_back_end(
    bundle: Bundle, tmp_path: Path
) -> None:
    for name, precision in (("a.onnx", None), ("b.onnx", "int8")):
        assert (
            export_bundle(bundle, tmp_path / name, Order("onnx", precision=precision))["precision"]
            == "int8-cpu"
        )


def test_without_the_head_the_features_come_out(bundle: Bundle, tmp_path: Path) -> None:
    written = export_bundle(bundle, tmp_path / "m.onnx", Order("onnx", with_head=False, precision="fp32"))
    assert written["outputs"] == {"features": ["n", 64, 6, 8]}
    assert written["head"] is None


# -- nothing is overwritten, and nothing wrong is written


def test_what_is_there_stays_unless_it_is_given_up(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    out.write_text("mine")
    with pytest.raises(OutputError, match=r"exists already.*--overwrite"):
        export_bundle(bundle, out, Order("onnx", precision="fp32"))
    assert out.read_text() == "mine"
    export_bundle(bundle, out, Order("onnx", precision="fp32", overwrite=True))
    assert len(out.read_bytes()) > 1_000_000


@pytest.mark.parametrize("form", ["onnx", "triton"])
def test_a_model_that_answers_otherwise_is_never_moved_in_place(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    def wrong(model: Any, head: Head, *, probabilities: bool) -> Any:
        return append_head(
            model, Head(head.weight, head.bias + 0.1, head.classes), probabilities=probabilities
        )

    monkeypatch.setattr(exporting, "append_head", wrong)
    with pytest.raises(EngineError, match="does not answer as the bundle does: its logits are off"):
        export_bundle(bundle, tmp_path / "m.onnx", Order(form, precision="fp32"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("order", "out", "error", "what"),
    [
        (Order("onnx"), "m.bin", OutputError, r"--out .*m\.onnx"),
        (Order("onnx", head="noon"), "m.onnx", BundleError, "no head 'noon'. It has: base, night"),
        (Order("onnx", precision="int4"), "m.onnx", BundleError, "no 'int4' model. It has: fp32, fp16"),
        (Order("onnx", photos=Path("nowhere")), "m.onnx", DataError, "holds no readable photos"),
    ],
    ids=["name", "head", "precision", "photos"],
)
def test_what_cannot_be_exported_is_told_with_what_can(
    bundle: Bundle, tmp_path: Path, order: Order, out: str, error: type[Exception], what: str
) -> None:
    with pytest.raises(error, match=what):
        export_bundle(bundle, tmp_path / out, order)
    assert list(tmp_path.iterdir()) == []


# -- the graph


def renamed(model: onnx.ModelProto, old: str, new: str) -> onnx.ModelProto:
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    return model


@pytest.mark.parametrize("inside", ["logits", "cam"])
def test_a_graph_that_uses_our_names_inside_keeps_its_numbers(inside: str) -> None:
    """small_model has 8 feature channels of 8 x 8."""
    head = Head(np.eye(2, 8, dtype=np.float32), np.array([1, 2], np.float32), ("a", "b"))
    plain = append_head(small_model(), head, probabilities=False)
    other = append_head(renamed(small_model(), "sums", inside), head, probabilities=False)
    given = {"image": small_frames(2)}
    one, two = (ort.InferenceSession(m.SerializeToString()).run(None, given) for m in (plain, other))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_head_of_another_size_is_refused() -> None:
    head = Head(np.eye(2, 5, dtype=np.float32), np.zeros(2, np.float32), ("a", "b"))
    with pytest.raises(EngineError, match="gives 8 features, and the head reads 5"):
        append_head(small_model(), head, probabilities=False)


# -- Triton


def model_config() -> Any:
    """The parts of Triton's ModelConfig message that we write, with its own field numbers.

    Source: triton-inference-server/common, protobuf/model_config.proto.
    """
    field, kinds = descriptor_pb2.FieldDescriptorProto, descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="triton.proto", package="triton", syntax="proto3")
    enum = file.enum_type.add(name="DataType")
    for name, number in (("TYPE_INVALID", 0), ("TYPE_UINT8", 2), ("TYPE_FP32", 11)):
        enum.value.add(name=name, number=number)
    once, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED

    def message(name: str, *parts: tuple[str, int, int, int, str]) -> None:
        made = file.message_type.add(name=name)
        for title, number, label, kind, of in parts:
            made.field.add(name=title, number=number, label=label, type=kind, type_name=of or None)  # type: ignore[arg-type]

    common = (
        ("name", 1, once, kinds.TYPE_STRING, ""),
        ("data_type", 2, once, kinds.TYPE_ENUM, ".triton.DataType"),
    )
    message("ModelInput", *common, ("dims", 4, many, kinds.TYPE_INT64, ""))
    message(
        "ModelOutput",
        *common,
        ("dims", 3, many, kinds.TYPE_INT64, ""),
        ("label_filename", 4, once, kinds.TYPE_STRING, ""),
    )
    message("ModelDynamicBatching", ("max_queue_delay_microseconds", 2, once, kinds.TYPE_UINT64, ""))
    message(
        "ModelConfig",
        ("name", 1, once, kinds.TYPE_STRING, ""),
        ("max_batch_size", 4, once, kinds.TYPE_INT32, ""),
        ("input", 5, many, kinds.TYPE_MESSAGE, ".triton.ModelInput"),
        ("output", 6, many, kinds.TYPE_MESSAGE, ".triton.ModelOutput"),
        ("dynamic_batching", 11, once, kinds.TYPE_MESSAGE, ".triton.ModelDynamicBatching"),
        ("backend", 17, once, kinds.TYPE_STRING, ""),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("triton.ModelConfig"))


def test_a_triton_repository_has_names_types_and_sizes_of_the_graph(bundle: Bundle, tmp_path: Path) -> None:
    order = Order("triton", head="night", precision="fp32", probabilities=True, max_batch=16)
    written = export_bundle(bundle, tmp_path / "repository", order)
    folder = tmp_path / "repository" / "my-line"
    assert written["out"] == str(folder)
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert found == ["1/model.onnx", "config.pbtxt", "labels.txt"]
    assert [p.name for p in folder.parent.iterdir()] == ["my-line"]
    assert (folder / "labels.txt").read_text() == "dark, or nearly\ngrey\nbright light\n"
    served = text_format.Parse((folder / "config.pbtxt").read_text(), model_config()())
    assert (served.name, served.backend, served.max_batch_size) == ("my-line", "onnxruntime", 16)
    assert served.dynamic_batching.max_queue_delay_microseconds > 0
    session = session_of(folder / "1" / "model.onnx")
    for told, real in ((served.input, session.get_inputs()), (served.output, session.get_outputs())):
        assert [(t.name, list(t.dims)) for t in told] == [(r.name, r.shape[1:]) for r in real]
    assert {t.data_type for t in served.input} == {2}
    assert {t.data_type for t in served.output} == {11}
    assert [t.label_filename for t in served.output] == ["labels.txt", "", "labels.txt"]


def test_a_second_model_joins_the_repository_and_neither_is_replaced_unasked(
    bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    export_bundle(bundle, tmp_path, Order("triton", precision="fp32"))
    with pytest.raises(OutputError, match="my-line exists already"):
        export_bundle(bundle, tmp_path, Order("triton", precision="fp32"))
    export_bundle(bundle, tmp_path, Order("triton", precision="fp32", overwrite=True))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my-line", "other"]


def test_a_graph_with_a_fixed_batch_is_served_as_it_is() -> None:
    served = text_format.Parse(config("m", small_model(batch=4), max_batch=8), model_config()())
    assert served.max_batch_size == 0
    assert not served.HasField("dynamic_batching")
    assert list(served.input[0].dims) == [4, 16, 16, 3]


@pytest.mark.parametrize(
    ("name", "safe"), [("line", "line"), ("my line/2", "my-line-2"), ("../..", "edgecam"), ('a"b', "a-b")]
)
def test_a_model_name_is_a_plain_folder_name(name: str, safe: str) -> None:
    assert model_name(name) == safe


def test_checks_use_as_many_photos_as_fill_a_fixed_batch(make_check: Callable[[int], int]) -> None:
    assert [make_check(n) for n in (4, 7, 9)] == [4, 4, 8]


@pytest.fixture
def make_check(tmp_path: Path) -> Callable[[int], int]:
    head = Head(np.eye(2, 8, dtype=np.float32), np.zeros(2, np.float32), ("a", "b"))

    def check(photos: int) -> int:
        onnx.save(small_model(batch=4), tmp_path / "m.onnx")
        content = append_head(small_model(batch=4), head, probabilities=False).SerializeToString()
        with closing(OnnxRuntimeEngine(tmp_path / "m.onnx", name="x")) as engine:
            outputs = ["logits", "cam"]
            return exporting.check_export(
                content, engine, head, small_frames(photos), outputs=outputs, fuse=True
            ).photos

    return check
