"""The demo's data without the network: how the photos are split, and how they are laid out."""

import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edgecam import elpv
from edgecam.elpv import CLASSES, Cell, Parts, fetch, lay_out, split
from edgecam_engines.errors import DataError


def cells(defective: int = 400, functional: int = 600) -> list[Cell]:
    labels = [0] * defective + [1] * functional
    return [Cell(Path(f"cell{i:04}.png"), label, 1.0 - label) for i, label in enumerate(labels)]


def parts(given: list[Cell], *, seed: int = 0, per_class: int | None = 100, val: int = 50) -> Parts:
    return split(given, seed=seed, per_class=per_class, val_per_class=val)


def counts(part: list[Cell]) -> Counter[int]:
    return Counter(cell.label for cell in part)


def test_no_photo_is_in_two_parts() -> None:
    train, val, test = parts(cells(), per_class=None)
    assert len({*train, *val, *test}) == len(train) + len(val) + len(test) == 1000


def test_a_quarter_of_each_class_is_kept_for_the_test() -> None:
    train, val, test = parts(cells())
    assert counts(test) == {0: 100, 1: 150}
    assert counts(val) == {0: 50, 1: 50}
    assert counts(train) == {0: 100, 1: 100}


def test_the_test_photos_are_the_same_however_many_train() -> None:
    few, many = parts(cells(), per_class=10, val=5), parts(cells(), per_class=None, val=50)
    assert few.test == many.test
    assert few.train != many.train


def test_the_seed_draws_and_nothing_else_does() -> None:
    assert parts(cells(), seed=1) == parts(cells(), seed=1)
    assert set(parts(cells(), seed=1).test) != set(parts(cells(), seed=2).test)


def test_too_few_photos_leave_the_test_whole_and_the_training_short() -> None:
    train, val, test = parts(cells(40, 40))
    assert counts(test) == {0: 10, 1: 10}
    assert counts(val) == {0: 30, 1: 30}
    assert train == []


def test_photos_are_laid_out_by_class_and_what_lay_there_goes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    given = [Cell(source / f"{i}.png", i % 2, 1.0 - i % 2) for i in range(4)]
    for cell in given:
        cell.path.write_text(cell.path.name)
    out = tmp_path / "out"
    (out / "defective").mkdir(parents=True)
    (out / "defective" / "old.png").touch()
    lay_out(given, out)
    found = {p.relative_to(out).as_posix() for p in out.rglob("*.png")}
    assert found == {"defective/0.png", "defective/2.png", "functional/1.png", "functional/3.png"}
    assert (out / "functional" / "3.png").read_text() == "3.png"
    assert all(cell.path.exists() for cell in given), "copied, not moved"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds three cells, and no way to the network."""
    folder = tmp_path / elpv.PACKAGE.replace("==", "-")
    (folder / "images").mkdir(parents=True)
    rows = ("images/a.png  0.0  mono", "images/b.png  0.3333333333333333  poly", "images/c.png  1.0  mono")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")

    def no_network(*_: Any, **__: Any) -> None:
        pytest.fail("something was to be downloaded")

    monkeypatch.setattr(subprocess, "run", no_network)
    return tmp_path


def test_what_is_in_the_cache_is_not_downloaded_again(cache: Path) -> None:
    found = fetch(cache)
    assert [(cell.path.name, CLASSES[cell.label]) for cell in found] == [
        ("a.png", "functional"),
        ("b.png", "functional"),
        ("c.png", "defective"),
    ]


def test_a_download_that_fails_says_what_was_wanted_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        assert elpv.PACKAGE in command
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no route to host")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(DataError, match=r"no route to host(.|\n)*elpv-dataset(.|\n)*Check the network"):
        fetch(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_licence_of_the_photos_is_told() -> None:
    assert "CC BY-NC-SA 4.0" in elpv.LICENCE


def test_shares_say_how_common_each_class_is() -> None:
    assert elpv.shares(cells(100, 300)) == {"defective": 0.25, "functional": 0.75}
