"""Golden photos: written and read, damage named, engines that answer otherwise refused, once a device."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from edge.loop_kit import colour_head, scene
from edgecam_engines import golden as golden_module
from edgecam_engines.backends import Model
from edgecam_engines.checked import NOTE, Device, Subject, check_once, device_of
from edgecam_engines.engine import Engine, Features, Frames
from edgecam_engines.errors import BundleDamaged, WrongAnswers
from edgecam_engines.fixed import FixedEngine
from edgecam_engines.geometry import fit_batch
from edgecam_engines.golden import (
    ANSWERS,
    TOLERANCES,
    Answers,
    Golden,
    answer,
    deviation,
    load_golden,
    save_golden,
)
from edgecam_engines.head import Head

HW = (64, 64)
FILE = "models/fixed.json"
HERE = Device("cpu-here", {"device": "a processor", "library": "a library 1.0"})


class Changed:
    """The fixed engine, its features passed through a function; counts its frames."""

    def __init__(self, change: Callable[[Features], Features] = lambda features: features) -> None:
        self._engine, self._change = FixedEngine(HW, stride=8), change
        self.name, self.input_hw, self.frames, self.closed = "fixed-int8", HW, 0, False

    def infer(self, frames: Frames, /) -> Features:
        self.frames += len(frames)
        return self._change(self._engine.infer(frames))

    def close(self) -> None:
        self.closed = True


def measured(engine: Engine | None = None) -> Golden:
    """Twelve scenes and what an engine says to them."""
    rng = np.random.default_rng(0)
    frames = fit_batch([np.roll(scene(k % 3), int(rng.integers(160)), axis=1) for k in range(12)], HW)
    bare = Golden(frames, np.arange(12) % 3, "default", {})
    said = answer(engine or Changed(), colour_head(), bare)
    return replace(bare, answers={FILE: said})


def check(
    engine: Engine,
    plans: Path,
    *,
    device: Device = HERE,
    model: str = "a" * 64,
    golden: Golden | None = None,
    file: str = FILE,
    precision: str = "int8",
    min_cam_iou: float = 0.0,
) -> None:
    subject = Subject("onnxruntime", Model(Path(file), precision, plans), file, FILE, model, "b" * 64)
    kept = golden or measured()
    check_once(engine, subject, device, lambda: (kept, colour_head()), min_cam_iou=min_cam_iou)


# -- on disk


def test_what_was_written_is_what_is_read(tmp_path: Path) -> None:
    golden = measured()
    save_golden(golden, tmp_path)
    found = load_golden(tmp_path, HW)
    np.testing.assert_array_equal(found.frames, golden.frames)
    np.testing.assert_array_equal(found.classes, golden.classes)
    assert (found.head, set(found.answers)) == ("default", {FILE})
    np.testing.assert_array_equal(found.answers[FILE].logits, golden.answers[FILE].logits)
    np.testing.assert_array_equal(found.answers[FILE].maps, golden.answers[FILE].maps)


def drop_photo(folder: Path) -> None:
    (folder / "golden" / "03.png").unlink()


def other_size(folder: Path) -> None:
    import cv2

    cv2.imwrite(str(folder / "golden" / "03.png"), np.zeros((32, 64, 3), np.uint8))


def no_photo(folder: Path) -> None:
    (folder / "golden" / "03.png").write_bytes(b"\x89PNG\r\n")


def truncate(folder: Path) -> None:
    (folder / ANSWERS).write_bytes((folder / ANSWERS).read_bytes()[:-9])


def nonsense(folder: Path) -> None:
    (folder / ANSWERS).write_bytes(b"x" * 100)


def rewrite(folder: Path, models: Any = (FILE,), **changed: Any) -> None:
    golden = measured()
    said = golden.answers[FILE]
    tensors = {"classes": golden.classes, f"{FILE}:logits": said.logits, f"{FILE}:maps": said.maps, **changed}
    save_file(tensors, folder / ANSWERS, metadata={"head": "default", "models": json.dumps(models)})


def fewer_answers(folder: Path) -> None:
    rewrite(folder, **{f"{FILE}:logits": np.zeros((3, 3), np.float32)})


def not_numbers(folder: Path) -> None:
    rewrite(folder, **{f"{FILE}:logits": np.full((12, 3), np.nan, np.float32)})


def unknown_class(folder: Path) -> None:
    rewrite(folder, classes=np.full(12, 3))


def no_photos(folder: Path) -> None:
    rewrite(folder, classes=np.zeros(0, np.int64))


def other_models(folder: Path) -> None:
    rewrite(folder, models=["models/other.onnx"])


@pytest.mark.parametrize(
    "spoil",
    [
        drop_photo, other_size, no_photo, truncate, nonsense, fewer_answers, not_numbers, unknown_class,
        no_photos, other_models,
    ],
)  # fmt: skip
def test_damage_is_named_and_not_a_crash(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    save_golden(measured(), tmp_path)
    spoil(tmp_path)
    with pytest.raises(BundleDamaged, match=r"golden photos of .* cannot be read(.|\n)*build-engine"):
        load_golden(tmp_path, HW)


# -- how far an engine is


def test_the_same_answers_are_no_deviation() -> None:
    said = measured().answers[FILE]
    found = deviation(said, said, HW, TOLERANCES["fp32"])
    assert found == (0, found.sure, 0.0, 1.0)
    assert found.sure > 0
    assert found.complaints(TOLERANCES["fp32"]) == []


@given(st.floats(-50, 50))
def test_a_number_that_all_logits_share_is_no_deviation(shift: float) -> None:
    said = measured_once()
    moved = Answers((said.logits + np.float32(shift)).astype(np.float32), said.maps)
    assert deviation(moved, said, HW, TOLERANCES["fp32"]).logits < 1e-5


@given(st.floats(0.001, 0.5))
def test_the_error_of_logits_is_a_share_of_their_spread(share: float) -> None:
    """All logits a share longer: that share exactly, by hand."""
    said = measured_once()
    longer = Answers((said.logits * np.float32(1 + share)).astype(np.float32), said.maps)
    assert deviation(longer, said, HW, TOLERANCES["fp32"]).logits == pytest.approx(share, rel=1e-3)


def test_a_label_may_change_only_where_the_lead_was_small() -> None:
    logits = np.array([[1.0, 0.0], [0.001, 0.0]], np.float32)
    maps = np.zeros((2, 4, 4), np.float32)
    expected, found = Answers(logits, maps), Answers(-logits, maps)
    assert deviation(found, expected, HW, TOLERANCES["fp32"])[:2] == (1, 1)


def test_values_that_are_no_numbers_are_as_wrong_as_can_be() -> None:
    said = measured().answers[FILE]
    bad = Answers(np.full_like(said.logits, np.nan), said.maps)
    assert deviation(bad, said, HW, TOLERANCES["int8"]) == (12, 12, float("inf"), 0.0)


def measured_once() -> Answers:
    return _MEASURED.answers[FILE]


_MEASURED = measured()


# -- once a device


def test_a_faithful_engine_is_asked_once_on_a_device(tmp_path: Path) -> None:
    first, second = Changed(), Changed()
    check(first, tmp_path)
    check(second, tmp_path)
    assert (first.frames, second.frames) == (12, 0)
    (entry,) = json.loads((tmp_path / "cpu-here" / NOTE).read_text()).values()
    assert (entry["device"], entry["library"], entry["photos"]) == ("a processor", "a library 1.0", 12)


@pytest.mark.parametrize(
    "other",
    [
        {"device": Device("cpu-here", {"device": "a processor", "library": "a library 1.1"})},
        {"device": Device("cpu-here", {"device": "another", "library": "a library 1.0"})},
        {"device": Device("cpu-there", HERE.about)},
        {"model": "c" * 64},
    ],
    ids=["library", "device", "folder", "model"],
)
def test_another_device_library_or_model_is_checked_anew(tmp_path: Path, other: dict[str, Any]) -> None:
    check(Changed(), tmp_path)
    engine = Changed()
    check(engine, tmp_path, **other)
    assert engine.frames == 12


@pytest.mark.parametrize("content", ["", "[]", "{", '{"onnxruntime models/fixed.json": 3}', "[" * 100_000])
def test_a_note_that_is_none_is_written_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "cpu-here").mkdir()
    (tmp_path / "cpu-here" / NOTE).write_text(content)
    engine = Changed()
    check(engine, tmp_path)
    assert engine.frames == 12
    check(Changed(lambda features: features * np.nan), tmp_path)  # known by now


def shuffled(features: Features) -> Features:
    return np.roll(features, 1, axis=1)


def saturated(features: Features) -> Features:
    return np.minimum(features, np.float32(0.25))


def transposed(features: Features) -> Features:
    return np.ascontiguousarray(features.transpose(0, 1, 3, 2))


def one_cell_aside(features: Features) -> Features:
    return np.roll(features, 2, axis=3)


def nothing(features: Features) -> Features:
    return np.zeros_like(features)


def infinite(features: Features) -> Features:
    return features / np.float32(1e-45)


def garbage(features: Features) -> Features:
    return np.random.default_rng(0).random(features.shape, np.float32)


@pytest.mark.parametrize(
    "spoil", [shuffled, saturated, transposed, one_cell_aside, nothing, infinite, garbage]
)
def test_an_engine_that_silently_answers_otherwise_is_refused_and_never_remembered(
    tmp_path: Path, spoil: Callable[[Features], Features]
) -> None:
    for _ in range(2):
        engine = Changed(spoil)
        with np.errstate(all="ignore"), pytest.raises(WrongAnswers, match="otherwise than when") as caught:
            check(engine, tmp_path)
        assert engine.frames == 12
    assert "a library 1.0, a processor" in str(caught.value)
    assert "edgecam build-engine" in str(caught.value)
    assert "--skip-check" in str(caught.value)
    assert not (tmp_path / "cpu-here").exists()


def test_rounding_is_forgiven_as_the_precision_has_it(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)

    def rounded(features: Features) -> Features:
        return np.asarray(features + noise.normal(0, 0.002, features.shape), np.float32)

    check(Changed(rounded), tmp_path, precision="int8")
    with pytest.raises(WrongAnswers, match="its logits are off by"):
        check(Changed(lambda features: features * 1.05), tmp_path / "other", precision="fp32")


def test_a_model_without_answers_of_its_own_is_held_against_fp32_and_the_gates_bound(tmp_path: Path) -> None:
    """Maps that are a little rough: near enough for INT8 kernels, but not for any bound."""

    def moved(features: Features) -> Features:
        noise = np.random.default_rng(0).normal(0, 0.05, features.shape)
        return np.asarray(features + noise, np.float32)

    given: dict[str, Any] = {"file": "models/other.onnx", "golden": measured()}
    found = deviation(
        answer(Changed(moved), colour_head(), measured()), measured().answers[FILE], HW, TOLERANCES["int8"]
    )
    assert found.complaints(TOLERANCES["int8"]) == []
    bound = (found.cam_iou + 1) / 2
    check(Changed(moved), tmp_path, **given)
    with pytest.raises(WrongAnswers, match=r"mean IoU of"):
        check(Changed(moved), tmp_path / "strict", min_cam_iou=bound, **given)
    bare = replace(measured(), answers={})
    with pytest.raises(BundleDamaged, match=r"say nothing of models/other\.onnx"):
        check(Changed(), tmp_path / "bare", file="models/other.onnx", golden=bare)


def test_a_bundle_that_may_only_be_read_is_checked_every_time(tmp_path: Path) -> None:
    (tmp_path / "plans").touch()  # no folder can be made here, whoever asks
    for _ in range(2):
        engine = Changed()
        check(engine, tmp_path / "plans")
        assert engine.frames == 12


def test_photos_are_asked_about_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch would make ONNX Runtime keep the memory of one."""
    sizes = []
    engine = Changed(lambda features: sizes.append(len(features)) or features)  # type: ignore[func-returns-value]
    check(engine, tmp_path)
    assert sizes == [1] * 12


def test_the_processor_and_the_library_make_the_device(tmp_path: Path) -> None:
    model = Model(Path("m.onnx"), "int8", tmp_path)
    here = device_of("onnxruntime", model)
    assert here is not None
    assert here.about["library"].startswith("onnxruntime ")
    assert here.folder.startswith("cpu-")
    assert device_of("fixed", model) is None


def test_the_check_uses_the_head_it_was_measured_with(tmp_path: Path) -> None:
    golden = measured()
    other = Head(-colour_head().weight, colour_head().bias, colour_head().classes)
    subject = Subject("onnxruntime", Model(Path(FILE), "int8", tmp_path), FILE, FILE, "a", "b")
    with closing(Changed()) as engine, pytest.raises(WrongAnswers, match="labels that were sure are others"):
        check_once(engine, subject, HERE, lambda: (golden, other), min_cam_iou=0.0)


def test_the_folder_of_golden_photos_is_what_the_bundle_looks_for() -> None:
    assert Path(golden_module.ANSWERS).parent.name == golden_module.FOLDER
