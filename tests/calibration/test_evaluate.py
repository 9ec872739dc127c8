"""Evaluation from photos on disk to the document that scripts read, with the public fake engine."""

import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecam.commands.evaluate import Asked, evaluate
from edgecam_calibration.evaluate import (
    Labelled,
    PhotoFrames,
    document,
    evaluate_photos,
    load_labelled,
    run_engine,
)
from edgecam_engines.bundle import write_manifest
from edgecam_engines.engine import Features, Frame, Frames
from edgecam_engines.errors import DataError, EngineError
from edgecam_engines.fixed import FixedEngine
from edgecam_engines.head import Head, save_head

COLOURS = {"blue": (200, 20, 20), "green": (20, 200, 20), "red": (20, 20, 200)}
CLASSES = tuple(COLOURS)
# FixedEngine's features are the mean colours: a head that reads each off is right on coloured photos.
HEAD = Head(weight=np.eye(3, dtype=np.float32) * 10, bias=np.zeros(3, dtype=np.float32), classes=CLASSES)


def frame(colour: str, hw: tuple[int, int] = (48, 80)) -> Frame:
    return np.full((*hw, 3), COLOURS[colour], dtype=np.uint8)


def photo(path: Path, colour: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), frame(colour))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two photos a class; one of the reds is green."""
    folder = tmp_path / "photos"
    for colour in CLASSES:
        photo(folder / colour / "0.png", colour)
        photo(folder / colour / "1.png", "green" if colour == "red" else colour)
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "colours.edgecam"
    folder.mkdir()
    (folder / "fixed.json").write_text('{"input_hw": [64, 64], "stride": 16}')
    save_head(HEAD, folder / "head.safetensors")
    about = {
        "name": "colours",
        "created": "2024-01-01T00:00:00+00:00",
        "edgecam": "0.1.0",
        "classes": list(CLASSES),
        "input_hw": [64, 64],
        "feature_dhw": [3, 4, 4],
        "engine": {"backend": "fixed", "precision": "fp32", "model": "fixed.json"},
        "models": {"fp32": "fixed.json"},
        "heads": {"default": "head.safetensors"},
        "head": "default",
        "gate": {},
        "calibration": {},
        "provenance": {},
    }
    write_manifest(folder, about)
    return folder


def test_photos_are_listed_with_the_index_their_class_has_in_the_bundle(data: Path) -> None:
    found = load_labelled(data, ("red", "blue", "green"))
    assert [(p.path.parent.name, p.label) for p in found] == [
        ("blue", 1), ("blue", 1), ("green", 2), ("green", 2), ("red", 0), ("red", 0),
    ]  # fmt: skip


def test_a_class_without_photos_is_no_error(data: Path) -> None:
    assert {p.label for p in load_labelled(data, (*CLASSES, "violet"))} == {0, 1, 2}


def test_test_is_taken_before_val_and_train_is_left_alone(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        photo(tmp_path / split / "red" / f"{split}.png", "red")
    assert [p.path.name for p in load_labelled(tmp_path, CLASSES)] == ["test.png"]
    (tmp_path / "test" / "red" / "test.png").unlink()
    (tmp_path / "test" / "red").rmdir()
    (tmp_path / "test").rmdir()
    assert [p.path.name for p in load_labelled(tmp_path, CLASSES)] == ["val.png"]


def test_a_class_called_test_is_a_class_and_not_a_split(tmp_path: Path) -> None:
    photo(tmp_path / "test" / "0.png", "red")
    photo(tmp_path / "red" / "0.png", "red")
    assert [p.label for p in load_labelled(tmp_path, ("red", "test"))] == [0, 1]


def test_training_photos_alone_are_refused_with_the_reason(tmp_path: Path) -> None:
    photo(tmp_path / "train" / "red" / "0.png", "red")
    with pytest.raises(DataError, match="learned from"):
        load_labelled(tmp_path, CLASSES)


def test_a_folder_that_the_bundle_does_not_know_is_named_with_the_nearest_class(data: Path) -> None:
    photo(data / "gren" / "0.png", "green")
    with pytest.raises(DataError, match=r"gren is a class.*nearest it knows: green"):
        load_labelled(data, CLASSES)


def test_hidden_and_empty_folders_and_other_files_are_passed_over(data: Path) -> None:
    photo(data / ".cache" / "0.png", "red")
    (data / "notes").mkdir()
    (data / "notes" / "read.txt").write_text("no photo")
    (data / "README.md").write_text("no photo")
    assert len(load_labelled(data, CLASSES)) == 6


def test_a_name_written_with_combining_accents_is_the_same_class(tmp_path: Path) -> None:
    photo(tmp_path / unicodedata.normalize("NFD", "grün") / "0.png", "green")
    assert [p.label for p in load_labelled(tmp_path, (unicodedata.normalize("NFC", "grün"), "rot"))] == [0]


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir()])
def test_a_missing_or_empty_folder_says_how_it_should_look(tmp_path: Path, make) -> None:  # noqa: ANN001
    folder = tmp_path / "nowhere"
    make(folder)
    with pytest.raises(DataError, match=r"blue/\*\.jpg"):
        load_labelled(folder, CLASSES)


@pytest.mark.parametrize("batch", [1, 4, 5, 100])
def test_answers_do_not_depend_on_the_batch(batch: int) -> None:
    frames = [frame(colour) for colour in ("red", "blue", "green", "green", "red")]
    one = run_engine(FixedEngine(), HEAD, frames, batch=2)
    other = run_engine(FixedEngine(), HEAD, frames, batch=batch)
    assert one.logits.argmax(axis=1).tolist() == [2, 0, 1, 1, 2]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_each_map_is_that_of_the_class_ranked_first_and_its_mean_is_the_logit() -> None:
    outputs = run_engine(FixedEngine(), HEAD, [frame("red"), frame("blue")])
    assert outputs.map_class.tolist() == [2, 0]
    assert outputs.maps.shape == (2, 4, 4)
    np.testing.assert_allclose(outputs.maps.mean(axis=(1, 2)), outputs.logits.max(axis=1), rtol=1e-5)


def test_maps_can_be_asked_for_the_classes_that_another_engine_ranked_first() -> None:
    outputs = run_engine(FixedEngine(), HEAD, [frame("red")] * 3, batch=2, map_class=np.array([0, 1, 2]))
    assert outputs.map_class.tolist() == [0, 1, 2]
    np.testing.assert_allclose(outputs.maps.mean(axis=(1, 2)), outputs.logits[0], rtol=1e-5)


@pytest.mark.parametrize("given", [2, 4, 5])
def test_map_classes_that_do_not_match_the_frames_are_refused(given: int) -> None:
    with pytest.raises(ValueError, match="one map class for each frame"):
        run_engine(FixedEngine(), HEAD, [frame("red")] * 3, batch=2, map_class=np.zeros(given, np.int64))


def test_frames_are_taken_a_batch_at_a_time() -> None:
    taken = 0

    def camera() -> Iterator[Frame]:
        nonlocal taken
        for _ in range(9):
            taken += 1
            yield frame("red")

    ahead: list[int] = []

    class Watching(FixedEngine):
        def infer(self, frames: Frames, /) -> Features:
            ahead.append(taken)
            return super().infer(frames)

    run_engine(Watching(), HEAD, camera(), batch=3)
    assert ahead == [3, 6, 9]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_engine_that_overflows_is_an_error_that_names_it(value: float) -> None:
    class Overflowing(FixedEngine):
        def infer(self, frames: Frames, /) -> Features:
            features = super().infer(frames)
            features[1:, 0, 0, 0] = value
            return features

    with pytest.raises(EngineError, match=r"fixed-fp32.*picture 2"):
        run_engine(Overflowing(), HEAD, [frame("red")] * 3)


def test_unreadable_photos_are_named_counted_and_left_out(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = data / "blue" / "1[bold].png"
    bad.write_bytes(b"")
    report, unreadable = evaluate_photos(FixedEngine(), HEAD, load_labelled(data, CLASSES), batch=4)
    assert report.n == 6
    assert [b.path for b in unreadable] == [bad]
    told = capsys.readouterr()
    assert "1[bold].png: the file has 0 bytes" in told.err
    assert told.out == ""


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.touch()
    with pytest.raises(DataError, match="no photo"):
        evaluate_photos(FixedEngine(), HEAD, [Labelled(empty, 0)])


def test_photos_can_be_gone_through_twice(data: Path) -> None:
    (data / "red" / "2.png").touch()
    frames = PhotoFrames(load_labelled(data, CLASSES), (64, 64))
    first, second = list(frames), list(frames)
    assert len(first) == len(second) == len(frames.labels) == 6
    assert len(frames.unreadable) == 1
    assert all(f.shape == (64, 64, 3) for f in first)


def test_the_command_prints_exactly_the_stable_document(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(bundle, data, Asked(), json=True, backend=None, threads=1)
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert list(told) == [
        "n", "top1", "top1_ci95", "macro_f1", "ece", "per_class", "engine", "localization",
        "operating_point", "macro", "calibration", "per_class_ci95", "confusion", "curves", "undefined",
        "unreadable", "against",
    ]  # fmt: skip
    assert (told["n"], told["engine"], told["localization"]) == (6, "fixed-fp32", None)
    assert told["top1"] == pytest.approx(5 / 6)
    assert all(
        list(score) == ["name", "precision", "recall", "f1", "fpr", "support"] for score in told["per_class"]
    )
    assert [score["name"] for score in told["per_class"]] == list(CLASSES)
    assert [score["recall"] for score in told["per_class"]] == [1, 1, 0.5]
    assert told["per_class"][1]["fpr"] == pytest.approx(1 / 4)


def test_the_document_survives_json_whatever_the_scores(data: Path) -> None:
    report, _ = evaluate_photos(FixedEngine(), HEAD, load_labelled(data, CLASSES))
    told = document(report, "fixed-fp32")
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_people_get_a_table_with_the_interval(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(bundle, data, Asked(), json=False, backend=None, threads=1)
    told = capsys.readouterr().out
    assert "83.3 %" in told
    assert "95 % interval 43.6 % to 97.0 %" in told
    assert all(colour in told for colour in CLASSES)
