"""From a finished run to a bundle: what ships, what is refused, and what is left when it goes wrong."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from conftest import Models
from edgecam_calibration import build as building
from edgecam_calibration.build import Built, build_engine
from edgecam_calibration.evaluate import Labelled
from edgecam_calibration.gate import ANYTHING_GOES, Bounds, Latency, Reference, refer
from edgecam_calibration.golden_photos import PHOTOS, choose_golden
from edgecam_calibration.mixed.plan import Plan
from edgecam_calibration.mixed.write import read_plan
from edgecam_calibration.mixed.yardstick import Target
from edgecam_calibration.models import SCALES
from edgecam_calibration.run import Run, open_run
from edgecam_engines import checked, place, swap
from edgecam_engines.backends import Model
from edgecam_engines.bundle import open_bundle, write_manifest
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
    WrongAnswers,
)
from edgecam_engines.files import sha256_of
from edgecam_engines.golden import ANSWERS, Answers, answer, load_golden, save_golden
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_engines.photo import read_photo

LOOSE = ANYTHING_GOES
CANDIDATE = [
    "precision", "backend", "passed", "state", "reasons", "top1", "agreement", "cam_iou", "cam_iou_p10",
    "latency_ms",
]  # fmt: skip


@pytest.fixture(scope="module")
def built(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """One whole build, calibration and all."""
    return build_engine(run_folder, tmp_path_factory.mktemp("built") / "x.edgecam", backend="onnxruntime")


@pytest.fixture(scope="module")
def whole_reference(finished_run: Run, val_frames: Frames) -> Reference:
    engine = OnnxRuntimeEngine(finished_run.model, name="onnxruntime-fp32")
    labels = np.array([photo.label for photo in finished_run.val])
    return refer(engine, finished_run.head, list(val_frames), labels)


@pytest.fixture
def quick(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds take the session's models instead of calibrating again."""

    def copy_models(run: Run, folder: Path, *_: object, **__: object) -> dict[str, str]:
        shutil.copytree(models.folder / "models", folder / "models")
        return dict(models.files)

    monkeypatch.setattr(building, "write_models", copy_models)


@pytest.fixture
def run_copy(run_folder: Path, tmp_path: Path) -> Path:
    """The run, yours to break; its photos stay where they are."""
    return Path(shutil.copytree(run_folder, tmp_path / "run"))


def listing(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# -- what ships


def test_the_fastest_candidate_that_passes_ships(built: Built) -> None:
    ours = [v for v in built.verdicts if v.backend == "onnxruntime"]
    mixed = ["mixed"] if "mixed-cpu" in built.bundle.manifest.models else []
    assert [v.precision for v in ours] == ["fp32", "fp16", *mixed, "int8"]
    passing = {v.precision: v.latency_ms for v in ours if v.passed}
    assert built.chosen.precision == min(passing, key=lambda name: passing[name] or 0)
    assert built.bundle.manifest.engine["precision"] == built.chosen.precision


def test_fp32_itself_always_passes(built: Built) -> None:
    fp32 = built.verdicts[0]
    assert (fp32.passed, fp32.agreement.value, fp32.cam_iou.mean) == (True, 1.0, 1.0)


def test_the_tensorrt_profile_is_judged_in_float_and_never_timed(built: Built) -> None:
    judged = {v.precision: v for v in built.verdicts if v.backend == "tensorrt"}
    assert set(judged) == {m.split("-")[0] for m in built.bundle.manifest.models if m.endswith("-tensorrt")}
    assert all(verdict.latency_ms is None for verdict in judged.values())
    assert judged["int8"].top1.value > 0.97


def test_the_plan_of_what_stays_in_float_is_in_the_bundle_and_its_report(built: Built) -> None:
    plan = read_plan(built.bundle.path)
    assert plan is not None
    assert plan.ships == ("mixed-cpu" in built.bundle.manifest.models)
    assert plan.profile == "int8-cpu"
    page = (built.bundle.path / "report.html").read_text()
    assert plan.reason[1:] in page
    assert all(kept.name in page for kept in plan.kept)


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
    assert set(manifest.models) - {"mixed-cpu", "mixed-tensorrt"} == {
        "fp32", "fp16", "int8-cpu", "int8-tensorrt",
    }  # fmt: skip
    assert manifest.calibration["photos"] == len(finished_run.train)
    assert len(manifest.calibration["set_sha256"]) == 64
    assert {"onnx", "python", "machine"} <= set(manifest.provenance)
    written = {name for name in listing(built.bundle.path) if not name.startswith("plans/")}
    assert written == {
        "manifest.json", "gate.json", "plan.json", "report.html", "heads/base.safetensors",
        "models/fp16.json", SCALES, "layers.json", "layers.png", *manifest.models.values(),
        ANSWERS, *(f"golden/{number:02}.png" for number in range(PHOTOS)),
    }  # fmt: skip
    assert written - {"manifest.json"} == set(manifest.files)


def test_the_document_has_exactly_the_stable_keys_and_more(built: Built) -> None:
    document = json.loads(json.dumps(built.document(), allow_nan=False))
    assert document["chosen"] == built.chosen.precision
    assert "candidates" in document
    for candidate in document["candidates"]:
        assert [key for key in candidate if key in CANDIDATE] == CANDIDATE
    gate = json.loads((built.bundle.path / "gate.json").read_text())
    assert gate["candidates"] == document["candidates"]
    assert gate["bounds"] == asdict(Bounds())
    assert built.bundle.manifest.gate == {key: gate[key] for key in built.bundle.manifest.gate}
    assert {"chosen", "backend", "state", "accept_unproven", "bounds"} <= set(built.bundle.manifest.gate)
    assert [c["name"] for c in document["candidates"][0]["criteria"]] == [
        "top-1 loss", "agreement with FP32", "mean CAM IoU", "CAM IoU, 10th percentile",
    ]  # fmt: skip


def test_the_report_shows_every_candidate(built: Built) -> None:
    page = (built.bundle.path / "report.html").read_text()
    for verdict in built.verdicts:
        assert f"{verdict.backend} {verdict.precision}" in page
    assert page.count("data:image/png;base64,") >= 3  # speed, histogram, worst photos
    assert not re.search(r'(src|href)="(?!data:)', page)
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


def test_mixed_precision_ships_by_name_with_a_model_for_each_back_end(
    run_folder: Path, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the INT8 models stand in for the mixed ones."""
    copy_models = building.write_models

    def with_mixed(run: Run, folder: Path, *rest: Any, **named: Any) -> dict[str, str]:
        files = copy_models(run, folder, *rest, **named)
        return files | {f"mixed-{kind}": files[f"int8-{kind}"] for kind in ("cpu", "tensorrt")}

    monkeypatch.setattr(building, "write_models", with_mixed)
    out = tmp_path / "x.edgecam"
    built = build_engine(run_folder, out, precision="mixed", backend="onnxruntime", bounds=LOOSE)
    assert [(v.backend, v.precision) for v in built.verdicts] == [
        ("onnxruntime", "mixed"),
        ("tensorrt", "mixed"),
    ]
    assert built.bundle.model("tensorrt")[1].path.name == "int8-tensorrt.onnx"
    assert built.bundle.model()[1].path.name == "int8-cpu.onnx"


# -- what is refused


def test_mixed_precision_that_does_not_pay_is_refused_with_the_plans_reason(
    run_folder: Path, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_models = building.write_models

    def with_plan(run: Run, folder: Path, *rest: Any, **named: Any) -> dict[str, str]:
        plan = Plan("int8-cpu", False, "it does not pay", [], 0.0, 0.5, Target(), 16, 72, [])
        (folder / "plan.json").write_text(json.dumps(plan.document()))
        return copy_models(run, folder, *rest, **named)

    monkeypatch.setattr(building, "write_models", with_plan)
    with pytest.raises(GateRefused, match="mixed was asked for and does not pass: it does not pay"):
        build_engine(run_folder, tmp_path / "x.edgecam", precision="mixed", backend="onnxruntime")
    assert list(tmp_path.iterdir()) == []


def test_int8_that_fails_the_gate_is_refused_and_leaves_nothing(
    run_folder: Path, tmp_path: Path, quick: None
) -> None:
    out = tmp_path / "x.edgecam"
    with pytest.raises(
        GateRefused, match=r"int8 was asked for and does not pass: .*less than 0\.9999"
    ) as caught:
        build_engine(
            run_folder, out, precision="int8", backend="onnxruntime", bounds=Bounds(min_cam_iou=0.9999)
        )
    assert "--precision auto" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# Sixty photos prove little: what FP16 loses is within these as measured, and open by its bad end.
OPEN = replace(ANYTHING_GOES, min_agreement=0.97)


def test_what_is_unproven_ships_only_where_that_was_accepted_and_it_is_written_down(
    run_folder: Path, tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.edgecam"
    asked: dict[str, Any] = {"precision": "fp16", "backend": "onnxruntime", "bounds": OPEN}
    with pytest.raises(GateRefused, match=r"not enough images, need about 99") as caught:
        build_engine(run_folder, out, **asked)
    assert "--accept-unproven" in str(caught.value)
    assert "--val DIR" in str(caught.value)
    assert not out.exists()
    built = build_engine(run_folder, out, accept_unproven=True, **asked)
    assert built.chosen.state == "unproven"
    told = built.bundle.manifest.gate
    assert (told["chosen"], told["state"], told["accept_unproven"]) == ("fp16", "unproven", True)
    assert "not enough images" in told["reasons"][0]
    assert json.loads((out / "gate.json").read_text())["state"] == "unproven"
    assert "--accept-unproven" in (out / "report.html").read_text()
    assert "ships although 60 images cannot prove" in capsys.readouterr().err


def test_auto_takes_the_next_precision_where_a_faster_one_is_unproven_and_says_what_would_help(
    run_folder: Path, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def fp16_is_fastest(engines: list[Engine], *_: Any, **__: Any) -> list[Latency]:
        return [Latency(ms, ms, ms) for engine in engines for ms in [1 if "fp16" in engine.name else 2]]

    monkeypatch.setattr(building, "time_engines", fp16_is_fastest)
    built = build_engine(run_folder, tmp_path / "x.edgecam", backend="onnxruntime", bounds=OPEN)
    states = {v.precision: v.state for v in built.verdicts if v.backend == "onnxruntime"}
    assert (states["fp32"], states["fp16"]) == ("passed", "unproven")
    assert built.chosen.precision == "fp32"
    said = capsys.readouterr().err
    assert "fp16 would take 1.00 ms instead of 2.00" in said
    assert "About 99 images in all would settle it" in said


def test_more_photos_to_judge_by_settle_what_was_open(
    run_folder: Path, finished_run: Run, tmp_path: Path, quick: None
) -> None:
    more = tmp_path / "more"
    for number, photo in enumerate([*finished_run.val, *finished_run.val]):
        place = more / finished_run.head.classes[photo.label] / f"{number:03}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        pixels = read_photo(photo.path)
        pixels[0, 0] = number  # a corner: another photo, and the same answer
        cv2.imwrite(str(place), pixels)
        shutil.copyfile(photo.path, place.with_name(f"copy {number}{photo.path.suffix}"))
    built = build_engine(
        run_folder, tmp_path / "x.edgecam", precision="fp16", backend="onnxruntime", bounds=OPEN, val=more
    )
    assert (built.chosen.n, built.chosen.state) == (180, "passed")  # the copies count once


def test_photos_that_were_trained_on_are_no_judges_whatever_their_names(
    run_folder: Path, finished_run: Run, tmp_path: Path, quick: None
) -> None:
    more = tmp_path / "more"
    learned = finished_run.train[0]
    place = more / finished_run.head.classes[learned.label] / f"renamed{learned.path.suffix}"
    place.parent.mkdir(parents=True)
    shutil.copyfile(learned.path, place)
    with pytest.raises(DataError, match=r"were trained on, for example"):
        build_engine(run_folder, tmp_path / "x.edgecam", backend="onnxruntime", val=more)


class Calibrated(Exception):
    """Ends a build when it has chosen the photos to calibrate on."""


@pytest.fixture
def calibrators(monkeypatch: pytest.MonkeyPatch) -> list[Labelled]:
    """Filled with the photos that a build would calibrate on; it goes no further."""
    chosen: list[Labelled] = []

    def write_models(run: Run, folder: Path, photos: list[Labelled], **_: object) -> dict[str, str]:
        chosen.extend(photos)
        raise Calibrated

    monkeypatch.setattr(building, "write_models", write_models)
    return chosen


def data_set(run: Run, folder: Path, **parts: list[Labelled]) -> Path:
    """DATA/PART/CLASS/*, the photos under names of their own."""
    for part, photos in parts.items():
        for number, photo in enumerate(photos):
            place = folder / part / run.head.classes[photo.label] / f"{part}{number}{photo.path.suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(photo.path, place)
    return folder


def build_until_calibrated(run: Path, out: Path, *, calibration: Path, val: Path | None = None) -> None:
    with pytest.raises(Calibrated):
        build_engine(run, out, backend="onnxruntime", calibration=calibration, val=val)


def test_photos_of_the_test_split_do_not_calibrate_under_any_name(
    run_copy: Path,
    finished_run: Run,
    tmp_path: Path,
    calibrators: list[Labelled],
    capsys: pytest.CaptureFixture[str],
) -> None:
    train = finished_run.train
    data = data_set(finished_run, tmp_path / "data", test=train[:9])
    split = json.loads((run_copy / "split.json").read_text())
    (run_copy / "split.json").write_text(json.dumps({**split, "data": str(data)}))
    given = data_set(finished_run, tmp_path / "mine", photos=train[:40]) / "photos"
    build_until_calibrated(run_copy, tmp_path / "x.edgecam", calibration=given)
    assert "9 calibration photos are photos to judge or test by" in " ".join(capsys.readouterr().err.split())
    assert len(calibrators) == 31
    assert not {sha256_of(p.path) for p in calibrators} & {sha256_of(p.path) for p in train[:9]}
    with pytest.raises(DataError, match="judged or tested by, so nothing would be proved"):
        build_engine(run_copy, tmp_path / "x.edgecam", backend="onnxruntime", calibration=data)


def test_more_photos_to_judge_by_do_not_calibrate_either(
    run_folder: Path, finished_run: Run, tmp_path: Path, calibrators: list[Labelled]
) -> None:
    few = finished_run.val[:5]
    given = data_set(finished_run, tmp_path / "mine", photos=[*few, *finished_run.train[:5]]) / "photos"
    more = tmp_path / "more"
    for photo in few:
        place = more / finished_run.head.classes[photo.label] / f"{photo.path.stem}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place), read_photo(photo.path)[:, ::-1])
        shutil.copyfile(place, given / finished_run.head.classes[photo.label] / f"flip {place.name}")
    build_until_calibrated(run_folder, tmp_path / "x.edgecam", calibration=given, val=more)
    assert {sha256_of(p.path) for p in calibrators} == {sha256_of(p.path) for p in finished_run.train[:5]}


def test_of_a_whole_data_set_the_photos_to_train_on_calibrate(
    run_folder: Path, finished_run: Run, tmp_path: Path, calibrators: list[Labelled]
) -> None:
    """Where `eval` takes DATA/test."""
    train = finished_run.train
    data = data_set(finished_run, tmp_path / "data", train=train[:12], test=train[12:20])
    build_until_calibrated(run_folder, tmp_path / "x.edgecam", calibration=data)
    assert {p.path.parents[1].name for p in calibrators} == {"train"}
    assert len(calibrators) == 12


def test_boxes_are_judged_where_they_are_given(
    run_folder: Path, finished_run: Run, tmp_path: Path, quick: None
) -> None:
    """Of half the photos a quarter is said to be the thing."""
    rows = ["image_id,x0,y0,x1,y1"]
    for photo in finished_run.val[::2]:
        h, w = read_photo(photo.path).shape[:2]
        rows.append(f"{photo.path.parent.name}/{photo.path.name},0,0,{w // 2},{h // 2}")
    (tmp_path / "boxes.csv").write_text("\n".join(rows) + "\n")
    built = build_engine(
        run_folder, tmp_path / "x.edgecam", precision="fp16", backend="onnxruntime",
        bounds=replace(ANYTHING_GOES, max_box_drop=100.0), boxes=tmp_path / "boxes.csv",
    )  # fmt: skip
    (criterion,) = [c for c in built.chosen.criteria if c.name == "box accuracy loss"]
    assert (criterion.n, criterion.state) == (30, "passed")
    assert built.chosen.losses["box_accuracy"].n == 30
    assert json.loads((tmp_path / "x.edgecam" / "gate.json").read_text())["boxes_n"] == 30


def test_boxes_of_other_photos_are_an_error(run_folder: Path, tmp_path: Path, quick: None) -> None:
    (tmp_path / "boxes.csv").write_text("image_id,x0,y0,x1,y1\nelsewhere.jpg,0,0,5,5\n")
    with pytest.raises(DataError, match=r"None of the 60 photos that the gate judges by has a box"):
        build_engine(run_folder, tmp_path / "x.edgecam", backend="onnxruntime", boxes=tmp_path / "boxes.csv")


# -- golden photos


def test_the_golden_photos_are_gate_photos_with_the_answers_of_every_engine(
    built: Built, val_frames: Frames
) -> None:
    golden = load_golden(built.bundle.path, built.bundle.input_hw)
    assert set(golden.answers) == set(built.bundle.manifest.models.values())
    for frame in golden.frames:
        assert (frame == val_frames).all(axis=(1, 2, 3)).any()
    file = built.bundle.manifest.engine["model"]
    with closing(built.bundle.engine(check=False)) as engine:
        found = answer(engine, built.bundle.head(), golden)
    np.testing.assert_allclose(found.logits, golden.answers[file].logits, atol=1e-3)


def test_golden_photos_cover_the_classes_and_hold_the_hardest(whole_reference: Reference) -> None:
    at = choose_golden(whole_reference, rng=np.random.default_rng(0))
    assert len(set(at.tolist())) == PHOTOS
    second, first = np.sort(whole_reference.outputs.logits, axis=1)[:, -2:].T
    assert set(np.argsort(first - second)[: PHOTOS // 2].tolist()) <= set(at.tolist())
    assert len(set(whole_reference.labels[at].tolist())) == len(set(whole_reference.labels.tolist()))
    few = choose_golden(whole_reference, rng=np.random.default_rng(0), count=1000)
    assert few.tolist() == list(range(len(whole_reference.labels)))


def test_the_first_engine_on_a_device_answers_the_golden_photos_and_the_next_does_not(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = open_bundle(Path(shutil.copytree(built.bundle.path, tmp_path / "x.edgecam")))
    shutil.rmtree(bundle.path / "plans", ignore_errors=True)
    bundle.engine().close()
    (note,) = (bundle.path / "plans").rglob("checked.json")
    before = note.read_bytes()
    monkeypatch.setattr(checked, "answer", None)  # whoever asks again fails
    bundle.engine().close()
    assert note.read_bytes() == before
    open_bundle(bundle.path)  # the note is no file of the manifest, and none that is missed


def test_a_model_that_answers_otherwise_is_refused_at_load(
    built: Built, models: Models, tmp_path: Path
) -> None:
    """The bundle says that this file is FP32; its golden answers are others."""
    path = Path(shutil.copytree(built.bundle.path, tmp_path / "x.edgecam"))
    shutil.rmtree(path / "plans", ignore_errors=True)
    golden = load_golden(path, built.bundle.input_hw)
    file = built.bundle.manifest.engine["model"]
    said = golden.answers[file]
    swapped = replace(golden, answers={**golden.answers, file: Answers(said.logits[::-1], said.maps[::-1])})
    save_golden(swapped, path)
    (path / "manifest.json").unlink()
    about = asdict(built.bundle.manifest)
    write_manifest(path, {k: v for k, v in about.items() if k not in {"geometry", "files", "schema"}})
    bundle = open_bundle(path)
    with pytest.raises(
        WrongAnswers, match=r"answers the bundle's golden photos otherwise(.|\n)*--skip-check"
    ):
        bundle.engine()
    bundle.engine(check=False).close()
    assert not (path / "plans").exists()


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
    monkeypatch.setattr(building, "write_models", None)  # whoever gets this far fails
    with pytest.raises(OutputError, match=hint):
        build_engine(run_folder, tmp_path / out if out[0] != "." else Path(out))


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["folder", "file"])
def test_what_is_there_and_no_bundle_is_left_alone(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    monkeypatch.setattr(building, "write_models", None)
    make(tmp_path / "x.edgecam")
    with pytest.raises(OutputError, match="is not a bundle, so it is left alone"):
        build_engine(run_folder, tmp_path / "x.edgecam")
    assert (tmp_path / "x.edgecam").exists()


@pytest.mark.parametrize("backend", ["fixed", "abacus"])
def test_a_back_end_that_is_not_for_shipping_is_refused(
    run_folder: Path, tmp_path: Path, backend: str
) -> None:
    with pytest.raises(BackendUnavailable, match=r"Choose auto, onnxruntime, .*tensorrt"):
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

    monkeypatch.setattr(swap, "exchange", lambda *_: False)  # as on a file system that cannot
    monkeypatch.setattr(Path, "rename", fails_for_the_new_one)
    (fixed_bundle.parent / "new").mkdir()
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
