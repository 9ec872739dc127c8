"""From a finished run to a bundle: what ships, what is refused, and what is left when it goes wrong."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Models
from edgecam_calibration import build as building
from edgecam_calibration.build import Built, build_engine
from edgecam_calibration.gate import Bounds
from edgecam_calibration.run import Run, open_run
from edgecam_engines import place
from edgecam_engines.backends import Model
from edgecam_engines.bundle import open_bundle
from edgecam_engines.engine import Engine, Frames
from edgecam_engines.errors import (
    BackendUnavailable,
    BundleDamaged,
    DataError,
    EdgecamError,
    EngineError,
    GateRefused,
    OutputError,
    TrainingError,
)

LOOSE = Bounds(max_drop=100, min_cam_iou=0)
CANDIDATE = [
    "precision", "backend", "passed", "reasons", "top1", "agreement", "cam_iou", "cam_iou_p10", "latency_ms",
]  # fmt: skip


@pytest.fixture(scope="module")
def built(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """One whole build, calibration and all."""
    return build_engine(run_folder, tmp_path_factory.mktemp("built") / "x.edgecam", backend="onnxruntime")


@pytest.fixture
def quick(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds take the session's models instead of calibrating again."""

    def copy_models(run: Run, folder: Path, calibrators: list[Any]) -> dict[str, str]:
        shutil.copytree(models.folder / "models", folder / "models")
        return dict(models.files)

    monkeypatch.setattr(building, "_write_models", copy_models)


@pytest.fixture
def run_copy(run_folder: Path, tmp_path: Path) -> Path:
    """The run, yours to break; its photos stay where they are."""
    return Path(shutil.copytree(run_folder, tmp_path / "run"))


def listing(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# -- what ships


def test_the_fastest_candidate_that_passes_ships(built: Built) -> None:
    ours = [v for v in built.verdicts if v.backend == "onnxruntime"]
    assert [v.precision for v in ours] == ["fp32", "fp16", "int8"]
    passing = {v.precision: v.latency_ms for v in ours if v.passed}
    assert built.chosen.precision == min(passing, key=lambda name: passing[name] or 0)
    assert built.bundle.manifest.engine["precision"] == built.chosen.precision


def test_fp32_itself_always_passes(built: Built) -> None:
    fp32 = built.verdicts[0]
    assert (fp32.passed, fp32.agreement.value, fp32.cam_iou.mean) == (True, 1.0, 1.0)


def test_the_tensorrt_profile_is_judged_in_float_and_never_timed(built: Built) -> None:
    (judged,) = [v for v in built.verdicts if v.backend == "tensorrt"]
    assert (judged.precision, judged.latency_ms) == ("int8", None)
    assert judged.top1.value > 0.97


def test_the_mean_of_a_map_and_the_bias_are_the_logit_through_the_bundle(
    built: Built, val_frames: Frames
) -> None:
    bundle = open_bundle(built.bundle.path)
    head = bundle.head()
    with closing(bundle.engine()) as engine:
        features = engine.infer(val_frames[:6])
    logits = head.logits(features)
    for k in range(len(head.classes)):
        means = head.cam(features, [k] * 6).mean(axis=(1, 2))
        np.testing.assert_allclose(means + head.bias[k], logits[:, k], atol=1e-4, rtol=0)


def test_the_bundle_names_what_the_trainer_named(built: Built, finished_run: Run, val_frames: Frames) -> None:
    head = built.bundle.head()
    with closing(built.bundle.engine()) as engine:
        called = head.logits(engine.infer(val_frames)).argmax(axis=1)
    assert (called == finished_run.val_logits.argmax(axis=1)).mean() >= 0.97


def test_the_bundle_explains_itself(built: Built, finished_run: Run) -> None:
    manifest = built.bundle.manifest
    assert tuple(manifest.classes) == finished_run.head.classes
    assert manifest.input_hw == [96, 128]
    assert manifest.feature_dhw == [64, 6, 8]
    assert set(manifest.models) == {"fp32", "fp16", "int8-cpu", "int8-tensorrt"}
    assert manifest.calibration["photos"] == len(finished_run.train)
    assert len(manifest.calibration["set_sha256"]) == 64
    assert {"onnx", "python", "machine"} <= set(manifest.provenance)
    assert set(listing(built.bundle.path)) == {
        "manifest.json", "gate.json", "report.html", "heads/base.safetensors", *manifest.models.values(),
        "layers.json", "layers.png", manifest.calibration["scales"],
    }  # fmt: skip


def test_the_document_has_exactly_the_stable_keys_and_more(built: Built) -> None:
    document = json.loads(json.dumps(built.document(), allow_nan=False))
    assert document["chosen"] == built.chosen.precision
    assert "candidates" in document
    for candidate in document["candidates"]:
        assert [key for key in candidate if key in CANDIDATE] == CANDIDATE
    gate = json.loads((built.bundle.path / "gate.json").read_text())
    assert gate["candidates"] == document["candidates"]
    assert gate["bounds"] == {"max_drop": 1.0, "min_cam_iou": 0.9}


def test_the_report_shows_every_candidate(built: Built) -> None:
    page = (built.bundle.path / "report.html").read_text()
    for verdict in built.verdicts:
        assert f"{verdict.backend} {verdict.precision}" in page
    assert "What 8 bits cost each convolution" in page


def test_the_layers_of_both_profiles_are_told(built: Built) -> None:
    layers = json.loads((built.bundle.path / "layers.json").read_text())
    assert set(layers) == {"int8-cpu", "int8-tensorrt"}
    for found in layers.values():
        assert len(found) == 57
        assert all(layer["cosine"] > 0.8 for layer in found)
        assert sum(layer["sqnr_db"] is None for layer in found) <= 2  # the stem has no error in float


def test_a_second_build_of_the_same_run_observes_nothing_anew(
    built: Built, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = build_engine(run_folder, tmp_path / "x.edgecam", precision="fp32", backend="onnxruntime")
    assert "using what was kept" in capsys.readouterr().err
    for name in ("int8-cpu", "int8-tensorrt"):
        first, second = (b.bundle.path / b.bundle.manifest.models[name] for b in (built, again))
        assert first.read_bytes() == second.read_bytes()


def test_nothing_is_left_beside_the_bundle(built: Built) -> None:
    assert [p.name for p in built.bundle.path.parent.iterdir()] == ["x.edgecam"]


def test_loose_bounds_let_int8_pass_by_name(run_folder: Path, tmp_path: Path, quick: None) -> None:
    out = tmp_path / "x.edgecam"
    built = build_engine(run_folder, out, precision="int8", backend="onnxruntime", bounds=LOOSE)
    assert built.bundle.manifest.engine["model"] == "models/int8-cpu.onnx"
    with closing(built.bundle.engine()) as engine:
        assert engine.name == "onnxruntime-int8"


# -- what is refused


def test_int8_that_fails_the_gate_is_refused_and_leaves_nothing(
    run_folder: Path, tmp_path: Path, quick: None
) -> None:
    out = tmp_path / "x.edgecam"
    with pytest.raises(GateRefused, match=r"int8 was asked for and does not pass: .*below 0\.9999") as caught:
        build_engine(
            run_folder, out, precision="int8", backend="onnxruntime", bounds=Bounds(min_cam_iou=0.9999)
        )
    assert "--precision auto" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_candidate_that_cannot_be_opened_is_refused_and_the_others_are_measured(
    run_folder: Path, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_fp16(backend: str, model: Model) -> Engine:
        if model.precision == "fp16":
            raise EngineError("The builder refused it.\nMore words.")
        return open_engine(backend, model)

    open_engine = building.open_engine
    monkeypatch.setattr(building, "open_engine", broken_fp16)
    built = build_engine(run_folder, tmp_path / "x.edgecam", backend="onnxruntime")
    refused = next(v for v in built.verdicts if v.precision == "fp16")
    assert (refused.passed, refused.reasons, refused.latency_ms) == (False, ["The builder refused it."], None)
    assert built.chosen.precision in {"fp32", "int8"}
    assert "The builder refused it." in (built.bundle.path / "report.html").read_text()


def test_a_graph_that_is_not_the_trained_network_is_found(
    run_copy: Path, tmp_path: Path, quick: None
) -> None:
    logits = np.load(run_copy / "val_logits.npy")
    np.save(run_copy / "val_logits.npy", np.roll(logits, 1, axis=1))
    with pytest.raises(EngineError, match=r"agrees with the trained network on only 0\.0%"):
        build_engine(run_copy, tmp_path / "x.edgecam", backend="onnxruntime")
    assert not (tmp_path / "x.edgecam").exists()


@pytest.mark.parametrize(
    ("out", "hint"),
    [("x", r"--out .*x\.edgecam"), ("x.zip", r"--out .*x\.edgecam"), (".", r"NAME\.edgecam"), ("..", "NAME")],
)
def test_another_kind_of_name_is_refused_before_any_work(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, hint: str
) -> None:
    monkeypatch.setattr(building, "_write_models", None)  # whoever gets this far fails
    with pytest.raises(OutputError, match=hint):
        build_engine(run_folder, tmp_path / out if out[0] != "." else Path(out))


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["folder", "file"])
def test_what_is_there_and_no_bundle_is_left_alone(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    monkeypatch.setattr(building, "_write_models", None)
    make(tmp_path / "x.edgecam")
    with pytest.raises(OutputError, match="is not a bundle, so it is left alone"):
        build_engine(run_folder, tmp_path / "x.edgecam")
    assert (tmp_path / "x.edgecam").exists()


@pytest.mark.parametrize("backend", ["fixed", "abacus"])
def test_a_back_end_that_is_not_for_shipping_is_refused(
    run_folder: Path, tmp_path: Path, backend: str
) -> None:
    with pytest.raises(BackendUnavailable, match="Choose onnxruntime, tensorrt or auto"):
        build_engine(run_folder, tmp_path / "x.edgecam", backend=backend)


# -- runs that are none


def test_a_run_is_opened_as_it_was_left(run_folder: Path) -> None:
    run = open_run(run_folder)
    assert len(run.val) == len(run.val_logits) == 60
    assert len(run.train) == 48
    assert not {photo.path for photo in run.train} & {photo.path for photo in run.val}


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("split.json", None),
        ("split.json", b"{"),
        ("split.json", b"[]"),
        ("split.json", b'{"train": [{"path": 1}], "val": []}'),
        ("split.json", b'{"train": [], "val": []}'),
        ("model.onnx", None),
        ("val_logits.npy", None),
        ("val_logits.npy", b""),
        ("val_logits.npy", b"no numbers"),
    ],
)
def test_a_folder_that_is_no_finished_run_says_how_to_get_one(
    run_copy: Path, file: str, content: bytes | None
) -> None:
    (run_copy / file).unlink()
    if content is not None:
        (run_copy / file).write_bytes(content)
    with pytest.raises(TrainingError, match=r"not a finished training run(.|\n)*edgecam train DATA --out"):
        open_run(run_copy)


def test_a_run_whose_head_is_damaged_is_named(run_copy: Path) -> None:
    (run_copy / "head.safetensors").write_bytes(b"x")
    with pytest.raises(BundleDamaged, match=r"head\.safetensors"):
        open_run(run_copy)


def moved(run: Path, part: str, share: float) -> None:
    """The split names photos that are no longer there."""
    split = json.loads((run / "split.json").read_text())
    for entry in split[part][: round(len(split[part]) * share)]:
        entry["path"] = f"{entry['path']}.gone"
    (run / "split.json").write_text(json.dumps(split))


@pytest.mark.parametrize(("part", "what"), [("train", "calibration"), ("val", "validation")])
def test_a_run_whose_photos_are_gone_says_which(
    run_copy: Path, tmp_path: Path, quick: None, part: str, what: str
) -> None:
    moved(run_copy, part, 1)
    with pytest.raises(DataError, match=rf"{what} photos only 0 are where they were \(for example .*\.gone"):
        build_engine(run_copy, tmp_path / "x.edgecam", backend="onnxruntime")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_few_missing_photos_are_counted_and_the_rest_will_do(
    run_copy: Path, tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    moved(run_copy, "val", 0.1)
    built = build_engine(run_copy, tmp_path / "x.edgecam", precision="fp32", backend="onnxruntime")
    assert built.chosen.n == 54
    assert "6 validation photos are gone; going on with 54." in capsys.readouterr().err


def test_calibration_photos_of_which_none_can_be_read_are_an_error(run_folder: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for name in ("class 0", "class 1"):
        (photos / name).mkdir(parents=True)
        (photos / name / "a.jpg").touch()
    with pytest.raises(DataError, match="No calibration photo could be read"):
        build_engine(run_folder, tmp_path / "x.edgecam", backend="onnxruntime", calibration=photos)
    assert [p.name for p in tmp_path.iterdir()] == ["photos"]


# -- the bundle that was there


@pytest.fixture
def old(fixed_bundle: Path) -> Iterator[dict[str, bytes]]:
    """What stands at colours.edgecam before."""
    return listing(fixed_bundle)


def test_a_bundle_is_replaced_whole(
    fixed_bundle: Path, old: dict[str, bytes], run_folder: Path, quick: None
) -> None:
    built = build_engine(run_folder, fixed_bundle, precision="fp32", backend="onnxruntime")
    assert built.bundle.path == fixed_bundle
    assert "models/fixed.json" in old
    assert not (fixed_bundle / "models" / "fixed.json").exists()
    assert [p.name for p in fixed_bundle.parent.iterdir()] == [fixed_bundle.name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, GateRefused, OSError])
def test_a_bundle_stays_as_it_was_when_the_new_one_fails(
    fixed_bundle: Path,
    old: dict[str, bytes],
    run_folder: Path,
    quick: None,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    def fail(*_: object) -> None:
        raise error("at the last moment")

    monkeypatch.setattr(building, "write_bundle", fail)
    with pytest.raises(OutputError if error is OSError else error):
        build_engine(run_folder, fixed_bundle, precision="fp32", backend="onnxruntime")
    assert listing(fixed_bundle) == old
    assert [p.name for p in fixed_bundle.parent.iterdir()] == [fixed_bundle.name]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(5, "Input/output error")])
def test_a_bundle_is_put_back_when_its_successor_cannot_take_its_place(
    fixed_bundle: Path, old: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    rename = Path.rename

    def fails_for_the_new_one(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails_for_the_new_one)
    with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt):
        place.swap_in(fixed_bundle.parent / "new", fixed_bundle)
    assert listing(fixed_bundle) == old


def test_a_full_disk_is_told_and_leaves_the_old_bundle(
    small_disk: Path, fixed_bundle: Path, old: dict[str, bytes], run_folder: Path
) -> None:
    out = small_disk / "x.edgecam"
    shutil.copytree(fixed_bundle, out)
    with pytest.raises(EdgecamError, match=r"No space left on device(.|\n)*Free some space"):
        build_engine(run_folder, out, backend="onnxruntime")
    assert listing(out) == old
    assert [p.name for p in small_disk.iterdir()] == ["x.edgecam"]
    assert open_bundle(out).manifest.name == "colours"
