"""`edgecam teach` as it is typed, and which frames are worth teaching."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgecam.boundary import code_of
from edgecam.cli import app
from edgecam.commands.teach_capture import shots_of
from edgecam.commands.teach_folder import photos_in
from edgecam.quality import judge
from edgecam_engines.bundle import open_bundle
from edgecam_engines.engine import Frame
from edgecam_engines.errors import DataError, SourceError
from fewshot.teach_kit import photo_folder


def typed(*words: object) -> int:
    return code_of(lambda: app([str(word) for word in words], standalone_mode=False))


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    document = json.loads(capsys.readouterr().out)
    assert isinstance(document, dict)
    return document


def test_a_folder_teaches_and_the_document_says_how_well(
    fixed_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = photo_folder(tmp_path / "data")
    assert typed("teach", fixed_bundle, data, "--alone", "--json") == 0
    told = said(capsys)
    assert told["classes"] == ["lime", "orange", "teal", "violet"]
    assert told["taken_in"] == {"new": 24, "known": 0, "relabelled": 0, "alike": told["taken_in"]["alike"]}
    assert told["accuracy"]["n"] == 24
    assert told["accuracy"]["value"] > 0.9
    page = Path(told["report"]).read_text()
    assert page.count("data:image/") >= 5
    assert typed("teach", fixed_bundle, data, "--json") == 0
    again = said(capsys)
    assert again["taken_in"]["known"] == 24
    assert again["version"] == 2
    assert again["classes"] == told["classes"]  # alone, as before


def test_what_was_taught_is_listed_undone_taken_out_and_exported(
    fixed_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = photo_folder(tmp_path / "data", each=4)
    assert typed("teach", fixed_bundle, "--list") == 0
    assert "nothing yet" in capsys.readouterr().err
    assert typed("teach", fixed_bundle, data, "--alone", "--head", "colours", "--method", "ncm") == 0
    capsys.readouterr()
    assert typed("teach", fixed_bundle, "--head", "colours", "--remove-class", "lime", "--json") == 0
    assert said(capsys)["classes"] == ["orange", "teal", "violet"]
    assert typed("teach", fixed_bundle, "--list", "--json") == 0
    (head,) = said(capsys)["heads"]
    assert (head["head"], head["version"], head["photos"], head["method"]) == ("colours", 2, 12, "ncm")
    assert typed("teach", fixed_bundle, "--undo", "--head", "colours", "--json") == 0
    assert said(capsys) == {"head": "colours", "version": 1, "photos": 16, "missing": []}
    assert open_bundle(fixed_bundle).head("colours").classes == ("lime", "orange", "teal", "violet")
    assert typed("teach", fixed_bundle, "--head", "colours", "--export", tmp_path / "out") == 0
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 16


def test_sentences_for_people_say_how_often_it_is_right_and_what_to_type(
    fixed_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("teach", fixed_bundle, photo_folder(tmp_path / "data"), "--alone") == 0
    told = capsys.readouterr()
    assert "are named rightly; fitted by" in told.out
    assert "Unknown things" in told.out
    assert f"edgecam run --bundle {fixed_bundle} --head taught" in told.err.replace("\n", " ").replace(
        "  ", " "
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--camera", "0"], 2),
        (["--label", "mug"], 2),
        (["--method", "forest"], 1),
        (["--undo"], 1),
        (["--head", "default"], 1),
        (["--head", "../x"], 1),
        (["--shots", "0"], 2),
    ],
)
def test_what_makes_no_sense_is_refused(fixed_bundle: Path, words: list[str], code: int) -> None:
    assert typed("teach", fixed_bundle, *words) == code


def test_a_camera_gives_shots_of_one_class(
    fixed_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = photo_folder(tmp_path / "data", each=5)
    for name in ("teal", "orange"):
        for path in (data / name).glob("*.png"):
            frame = cv2.imread(str(path))
            assert frame is not None
            cv2.imwrite(str(path), speckled(np.asarray(frame, np.uint8)))
    assert typed("teach", fixed_bundle, data, "--alone") == 0
    capsys.readouterr()
    words = ("--camera", data / "teal", "--label", "sea", "--shots", "3", "--json")
    assert typed("teach", fixed_bundle, *words) == 0
    told = said(capsys)
    assert told["taken_in"]["new"] + told["taken_in"]["relabelled"] == 3
    assert "sea" in told["classes"]


# -- folders


def test_a_photo_that_stands_under_two_classes_is_used_in_neither(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = photo_folder(tmp_path / "data", ("teal", "lime"), each=3)
    shutil.copy(data / "teal" / "0.png", data / "lime" / "copy.png")
    shutil.copy(data / "teal" / "1.png", data / "teal" / "again.png")
    (data / "teal" / "broken.png").write_bytes(b"no photo")
    found = [(label, source) for _, label, source in photos_in(data)]
    assert sorted(found) == [
        ("lime", "0.png"),
        ("lime", "1.png"),
        ("lime", "2.png"),
        ("teal", "1.png"),
        ("teal", "2.png"),
    ]
    told = capsys.readouterr().err
    assert "stands under" in told
    assert "broken.png" in told


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="CLASS"):
        list(photos_in(tmp_path))
    with pytest.raises(DataError, match="cannot be read"):
        list(photos_in(tmp_path / "none"))


# -- which frames are worth it


def speckled(frame: Frame, seed: int = 0) -> Frame:
    rng = np.random.default_rng(seed)
    return np.asarray(np.clip(frame.astype(int) + rng.integers(-25, 26, frame.shape), 0, 255), np.uint8)


def grey(level: int, seed: int = 0) -> Frame:
    return speckled(np.full((120, 160, 3), level, np.uint8), seed)


def test_a_sharp_well_lit_frame_has_no_fault() -> None:
    assert judge(grey(128)).complaints == ()


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (cv2.GaussianBlur(grey(128), (0, 0), 4), "blurred"),
        (grey(20), "too dark"),
        (grey(240), "too bright"),
    ],
)
def test_faults_are_named_with_what_to_do(frame: Frame, fault: str) -> None:
    assert any(fault in words for words in judge(frame).complaints)


def test_black_and_white_without_grey_is_a_fault() -> None:
    frame = np.where(np.random.default_rng(0).random((120, 160, 1)) < 0.5, 0, 255) * np.ones(3)
    assert any("black or white" in words for words in judge(frame.astype(np.uint8)).complaints)


def test_the_same_frame_twice_is_one_too_many_and_a_moved_one_is_not() -> None:
    first = grey(128)
    assert any("same as the last" in words for words in judge(first, first).complaints)
    assert judge(grey(140, 1), first).complaints == ()


def test_shots_leave_out_what_is_not_worth_it_and_end_with_the_source(tmp_path: Path) -> None:
    frames = [grey(20), grey(100, 1), grey(100, 1), grey(130, 2), grey(160, 3), grey(190, 4)]
    for number, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / f"{number}.png"), frame)
    told: list[str] = []
    found = list(shots_of(str(tmp_path), "mug", 3, say=told.append))
    assert [int(frame.mean() / 30 + 0.5) for frame, _, _ in found] == [3, 4, 5]
    assert {label for _, label, _ in found} == {"mug"}
    assert any("too dark" in words for words in told)
    assert any("same as the last" in words for words in told)
    assert len(list(shots_of(str(tmp_path), "mug", 99, say=told.append))) == 4
    assert "4 of 99" in told[-1]


def test_a_source_with_nothing_worth_it_says_why(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), grey(20))
    with pytest.raises(SourceError, match="too dark"):
        list(shots_of(str(tmp_path), "mug", 3, say=lambda _: None))
