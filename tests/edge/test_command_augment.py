"""`edgecam data augment` as a shell sees it: documents, exit codes, one message for each mistake."""

import json
from pathlib import Path

import pytest

from edge.loop_kit import CLASSES, make_bundle
from edge.test_command_data import data as call
from training.recompose_kit import files, make_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photos/ and teacher.edgecam."""
    root = tmp_path_factory.mktemp("augment")
    make_data(root / "photos")
    make_bundle(root / "teacher.edgecam", (64, 64), 8)
    return root


def argv(folder: Path, out: Path, *more: object) -> list[object]:
    teacher = folder / "teacher.edgecam"
    return ["augment", folder / "photos", "--out", out, "--per-class", 2, "--teacher", teacher, *more]


def test_it_says_what_came_of_each_class_and_what_to_type_next(folder: Path, tmp_path: Path) -> None:
    told = call(tmp_path, *argv(folder, Path("new"), "--size", 128))
    assert told.code == 0, told.err
    for words in (*CLASSES, "at least 0.5", "new/contact.jpg", "--with-originals", "edgecam train new"):
        assert words in told.out
    assert len(list((tmp_path / "new").glob("*/*.jpg"))) == 6


def test_json_is_one_document_and_about_json_with_the_folder(folder: Path, tmp_path: Path) -> None:
    told = call(
        tmp_path, *argv(folder, Path("new"), "--json", "--with-originals", "--seed", 3, "--agree", 0.6)
    )
    assert told.code == 0, told.err
    found = json.loads(told.out)
    assert found.pop("out") == "new"
    assert found == json.loads((tmp_path / "new" / "about.json").read_text())
    assert (found["agree"], found["seed"], found["with_originals"]) == (0.6, 3, True)
    assert {path.name for path in (tmp_path / "new").iterdir()} >= {"train", "val"}


def test_mistakes_are_told_in_one_message_and_nothing_is_made(folder: Path, tmp_path: Path) -> None:
    photos, teacher = folder / "photos", folder / "teacher.edgecam"
    rest = ["--per-class", 2, "--out", "x"]
    empty = tmp_path / "more" / "train" / "pink thing"
    empty.mkdir(parents=True)
    before = files(folder)
    for wrong, code, words in [
        (
            [photos, *rest, "--teacher", tmp_path / "none"],
            1,
            "is not a folder, so it is neither a bundle nor",
        ),
        ([photos, *rest, "--teacher", photos], 1, "neither manifest.json nor model.onnx"),
        ([tmp_path / "more", *rest, "--teacher", teacher], 1, "one class folder (pink thing)"),
        ([photos, "--per-class", 2, "--out", photos / "new", "--teacher", teacher], 1, "lie in each other"),
        ([photos, "--per-class", 2, "--out", tmp_path, "--teacher", teacher], 1, "was not made by"),
        ([photos, *rest, "--teacher", teacher, "--fill", "diffusers"], 1, "needs --model DIR"),
        (
            [photos, *rest, "--teacher", teacher, "--backgrounds", "none"],
            1,
            "--backgrounds none is not a folder",
        ),
        ([photos, *rest], 2, "--teacher"),
        ([photos, *rest, "--teacher", teacher, "--agree", 1.5], 2, "--agree"),
    ]:
        told = call(tmp_path, "augment", *wrong)
        assert (told.code, told.out) == (code, ""), told
        assert words in told.err
        assert "Traceback" not in told.err
    assert not (tmp_path / "x").exists()
    assert files(folder) == before
