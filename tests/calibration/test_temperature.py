"""The temperature is the one that another optimizer finds, sane where there is none to find, and shipped."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from edgecam_calibration import build as building
from edgecam_calibration.classification.reliability import expected_calibration_error
from edgecam_calibration.classification.temperature import COLDEST, HOTTEST, fit_temperature, nll
from edgecam_calibration.evaluate import run_engine
from edgecam_calibration.gate import ANYTHING_GOES, judge, refer
from edgecam_calibration.run import Run
from edgecam_engines.engine import Features, Frames
from edgecam_engines.fixed import FixedEngine
from edgecam_engines.head import Head


def photos(
    seed: int, n: int, *, boast: float, classes: int = 4
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits `boast` times as large as the chances behind the labels."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(scale=1.5, size=(n, classes))
    chances = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    labels = (rng.random(n)[:, None] > chances.cumsum(axis=1)).sum(axis=1)
    return boast * honest, np.minimum(labels, classes - 1)


def softmax(logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    return torch.softmax(torch.from_numpy(logits) / temperature, dim=1).numpy()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(20, 200), st.floats(0.05, 20), st.integers(2, 6))
def test_it_is_the_temperature_that_scipy_finds(seed: int, n: int, boast: float, classes: int) -> None:
    logits, labels = photos(seed, n, boast=boast, classes=classes)
    found = fit_temperature(logits, labels)
    if found.separable or not 2 * COLDEST < found.value < HOTTEST / 2:
        return
    theirs = minimize_scalar(
        lambda log_t: nll(logits, labels, np.exp(log_t)), bounds=(-6.9, 6.9), method="bounded",
        options={"xatol": 1e-9},
    )  # fmt: skip
    assert found.nll_after <= theirs.fun + 1e-12
    assert found.nll_after <= found.nll_before + 1e-12


@pytest.mark.parametrize("boast", [0.25, 1.0, 3.0])
def test_it_takes_out_the_boast_that_was_put_in(boast: float) -> None:
    logits, labels = photos(0, 20_000, boast=boast)
    found = fit_temperature(logits, labels)
    assert found.value == pytest.approx(boast, rel=0.05)
    before, after = (expected_calibration_error(labels, softmax(logits, t)) for t in (1.0, found.value))
    assert after < 0.02
    assert after <= before or boast == 1.0


def test_log_loss_agrees_with_torch_and_does_not_round_to_infinity() -> None:
    logits, labels = photos(3, 50, boast=2)
    theirs = torch.nn.functional.cross_entropy(torch.from_numpy(logits) / 1.7, torch.from_numpy(labels))
    assert nll(logits, labels, 1.7) == pytest.approx(theirs.item())
    assert nll(np.array([[5000.0, 0.0]]), np.array([1])) == 5000


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(-50, 50), st.floats(0.1, 10))
def test_a_shift_of_logits_changes_nothing_and_a_scale_scales_it(
    seed: int, shift: float, scale: float
) -> None:
    logits, labels = photos(seed, 60, boast=2)
    found = fit_temperature(logits, labels).value
    assert fit_temperature(logits + shift, labels).value == pytest.approx(found, rel=1e-5)
    assert fit_temperature(scale * logits, labels).value == pytest.approx(scale * found, rel=1e-5)


def test_the_answer_to_every_photo_stays() -> None:
    logits, labels = photos(1, 100, boast=4)
    found = fit_temperature(logits, labels).value
    assert (softmax(logits, found).argmax(axis=1) == logits.argmax(axis=1)).all()


@pytest.mark.parametrize("n", [2, 20, 500])
@pytest.mark.parametrize("scale", [0.1, 1, 30])
def test_photos_all_answered_right_make_nothing_certain(n: int, scale: float) -> None:
    """The loss has no minimum there; as sure as n right and one wrong would allow is sure enough."""
    labels = np.arange(n) % 3
    logits = scale * np.eye(3)[labels]
    found = fit_temperature(logits, labels)
    assert found.separable
    confidence = softmax(logits, found.value).max(axis=1)
    assert confidence == pytest.approx(n / (n + 1))


def test_one_mistake_among_many_is_much_like_none() -> None:
    labels = np.arange(300) % 3
    logits = 4.0 * np.eye(3)[labels]
    none, one = fit_temperature(logits, labels), fit_temperature(logits, np.r_[1, labels[1:]])
    assert (none.separable, one.separable) == (True, False)
    assert one.value == pytest.approx(none.value, rel=0.01)


def test_logits_that_know_nothing_are_made_flat_and_flat_ones_are_left() -> None:
    wrong = np.eye(2)[[0, 1, 0, 1]] * 9
    assert fit_temperature(wrong, np.array([1, 0, 1, 0])).value == pytest.approx(HOTTEST, rel=1e-6)
    assert fit_temperature(np.zeros((4, 2)), np.array([1, 0, 1, 0])).value == 1


def test_a_half_precision_range_of_logits_neither_overflows_nor_warns() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2e4, size=(200, 5)).astype(np.float32)
    found = fit_temperature(logits, rng.integers(5, size=200))
    assert COLDEST <= found.value <= HOTTEST * (1 + 1e-9)
    assert np.isfinite([found.nll_before, found.nll_after]).all()


def test_photos_are_gone_through_in_chunks_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = photos(0, 100, boast=2)
    whole = fit_temperature(logits, labels)
    monkeypatch.setattr("edgecam_calibration.classification.temperature._CHUNK", 30)
    assert fit_temperature(logits, labels).value == pytest.approx(whole.value)


def test_the_document_is_json() -> None:
    document = fit_temperature(*photos(0, 50, boast=2)).document()
    assert list(json.loads(json.dumps(document, allow_nan=False))) == [
        "temperature", "nll_before", "nll_after", "n", "separable",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("logits", "labels", "complaint"),
    [
        (np.zeros((0, 2)), [], "One row"),
        (np.zeros((1, 2)), [0, 1], "One row"),
        (np.zeros((1, 2)), [2], "Labels run"),
        (np.array([[np.inf, 0]]), [0], "not numbers"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    logits: NDArray[np.float64], labels: list[int], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        fit_temperature(logits, np.array(labels, dtype=np.int64))


# -- where it is kept


class Louder(FixedEngine):
    """The fixed engine, three times as sure of everything."""

    def infer(self, frames: Frames, /) -> Features:
        return 3 * super().infer(frames)


def test_the_gate_gives_each_engine_the_temperature_of_its_own_answers() -> None:
    """An engine that boasts three times as much ends with the same confidence and the same error."""
    rng = np.random.default_rng(0)
    frames = list(rng.integers(0, 255, size=(40, 64, 64, 3), dtype=np.uint8))
    head = Head(np.eye(3, dtype=np.float32) * 20, np.zeros(3, np.float32), ("blue", "green", "red"))
    called = run_engine(FixedEngine(), head, frames).logits.argmax(axis=1)
    reference = refer(FixedEngine(), head, frames, (called + (np.arange(40) % 4 == 0)) % 3)
    quiet, loud = (
        judge(engine, head, reference, ANYTHING_GOES, precision="fp32", backend="fixed")
        for engine in (FixedEngine(), Louder())
    )
    assert quiet.temperature == fit_temperature(reference.outputs.logits, reference.labels).value
    assert COLDEST < quiet.temperature < HOTTEST / 3
    assert loud.temperature == pytest.approx(3 * quiet.temperature, rel=1e-3)
    assert loud.ece.value == pytest.approx(quiet.ece.value, abs=1e-4)


def test_a_bundle_ships_the_temperature_of_the_engine_it_ships(
    run_folder: Path, finished_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_model(run: Run, folder: Path, *_: object, **__: object) -> dict[str, str]:
        (folder / "models").mkdir()
        shutil.copyfile(run.model, folder / "models" / "fp32.onnx")
        return dict.fromkeys(("fp32", "fp16", "int8-cpu", "int8-tensorrt"), "models/fp32.onnx")

    monkeypatch.setattr(building, "write_models", one_model)
    out = tmp_path / "x.edgecam"
    built = building.build_engine(run_folder, out, precision="fp32", backend="onnxruntime")
    labels = np.array([photo.label for photo in finished_run.val])
    wanted = fit_temperature(finished_run.val_logits, labels).value
    assert built.bundle.head().temperature == built.chosen.temperature == pytest.approx(wanted, rel=1e-2)
    assert finished_run.head.temperature == 1
    assert json.loads((out / "gate.json").read_text())["temperature"] == built.chosen.temperature
