"""`edgecam data composite` as a shell sees it: documents, exit codes, and nothing half-made."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from training.composite_kit import make_backgrounds, make_cutouts

WAIT_S = 240
HEAVY = ("torch", "cv2", "numpy", "PIL")


class Told(NamedTuple):
    code: int
    out: str
    err: str


class Own(NamedTuple):
    """The user's own pictures, as options."""

    cutouts: Path
    backgrounds: Path

    def argv(self) -> list[object]:
        return ["--cutouts", self.cutouts, "--backgrounds", self.backgrounds, "--size", 96]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Own:
    folder = tmp_path_factory.mktemp("own")
    return Own(make_cutouts(folder / "things"), make_backgrounds(folder / "grounds"))


def start(cwd: Path, *argv: object) -> "subprocess.Popen[str]":
    paths = {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "100"}
    states = {name: str(cwd / ".state") for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME")}
    return subprocess.Popen(
        [sys.executable, "-m", "edgecam", "data", *map(str, argv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, **paths, **states},
    )


def data(cwd: Path, *argv: object) -> Told:
    process = start(cwd, *argv)
    out, err = process.communicate(timeout=WAIT_S)
    return Told(process.returncode, out, err)


@pytest.mark.parametrize("argv", [["--help"], ["composite", "--help"], ["augment", "--help"]])
def test_help_imports_nothing_heavy(argv: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom edgecam.cli import main\ntry:\n    main()\n"
        f"finally:\n    print('loaded', sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "data", *argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "100"},
    )
    assert done.returncode == 0, done.stderr
    assert argv[0].strip("-") in done.stdout
    assert done.stderr == "loaded []\n"


def test_it_says_what_was_made_and_what_to_type_next(own: Own, tmp_path: Path) -> None:
    told = data(tmp_path, "composite", "--out", "set", "--per-class", 3, *own.argv())
    assert told.code == 0, told.err
    for words in ("3 (2)", "20 (1)", "50 (1)", "set/contact.jpg", "edgecam train set --size 96"):
        assert words in told.out
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == [
        "about.json", "boxes", "contact.jpg", "masks", "metadata", "test", "train", "val",
    ]  # fmt: skip
    assert len(list((tmp_path / "set" / "test").rglob("*.jpg"))) == 150


def test_json_is_one_document_and_about_json_with_the_folder(own: Own, tmp_path: Path) -> None:
    counts = ("--per-class", 2, "--val-per-class", 1, "--test-per-class", 1, "--classes", 2, "--seed", 8)
    told = data(tmp_path, "composite", "--out", "set", "--json", *counts, *own.argv())
    assert told.code == 0, told.err
    (line,) = told.out.splitlines()
    found = json.loads(line)
    assert found.pop("out") == "set"
    assert found == json.loads((tmp_path / "set" / "about.json").read_text())
    assert (found["seed"], found["classes"]) == (8, ["blue", "green"])


def test_known_problems_are_1_and_wrong_usage_is_2(own: Own, tmp_path: Path) -> None:
    for argv, code, words in [
        (["--out", "x", "--classes", 9, *own.argv()], 1, "--classes 9 is more than the 3"),
        (["--out", own.cutouts, *own.argv()], 1, "is not empty, so it is left alone"),
        (["--out", "x", "--cutouts", own.backgrounds], 1, "holds 0 class folder"),
        (["--out", "x", "--classes", 11], 1, "--classes 11 is more than the 10"),
        (own.argv(), 2, "--out"),
        (["--out", "x", "--classes", 1, *own.argv()], 2, "--classes"),
        (["--out", "x", "--per-class", 0, *own.argv()], 2, "--per-class"),
    ]:
        told = data(tmp_path, "composite", *argv)
        assert told.code == code, told
        assert words in told.err
        assert told.out == ""
        assert "Traceback" not in told.err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(own: Own, tmp_path: Path, number: int) -> None:
    process = start(tmp_path, "composite", "--out", "set", "--per-class", 5000, *own.argv())
    deadline = time.monotonic() + WAIT_S
    while len(list(tmp_path.rglob("*.jpg"))) < 5:
        assert process.poll() is None, "it ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, out) == (130, ""), err
    assert "Traceback" not in err
    assert [p.name for p in tmp_path.iterdir() if p.name != ".state"] == []
