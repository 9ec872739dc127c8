from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgecam_calibration.choose import choose, coverage, once, report_coverage, set_hash, without_judges
from edgecam_calibration.evaluate import Labelled
from edgecam_engines.errors import DataError


def photos(counts: dict[int, int]) -> list[Labelled]:
    return [Labelled(Path(f"{label}-{i}"), label) for label, n in counts.items() for i in range(n)]


def draw(given: list[Labelled], count: int, seed: int = 0) -> list[Labelled]:
    return choose(given, count, rng=np.random.default_rng(seed))


def test_each_class_gives_the_same_number_where_it_can() -> None:
    assert Counter(p.label for p in draw(photos({0: 100, 1: 3, 2: 50}), 23)) == {0: 10, 1: 3, 2: 10}


@pytest.mark.parametrize("count", [0, 1, 7, 24])
def test_as_many_as_were_asked_for_and_none_twice(count: int) -> None:
    chosen = draw(photos({0: 20, 1: 20, 2: 20}), count)
    assert len(chosen) == len(set(chosen)) == count
    by_class = Counter(p.label for p in chosen)
    assert max(by_class.values(), default=0) - min((by_class[k] for k in range(3)), default=0) <= 1


def test_fewer_photos_than_asked_for_are_all_taken() -> None:
    given = photos({0: 5, 4: 2})
    assert sorted(draw(given, 128)) == sorted(given)


def test_the_seed_decides_and_nothing_else() -> None:
    given = photos({0: 40, 1: 40})
    assert draw(given, 10, seed=3) == draw(given, 10, seed=3)
    assert draw(given, 10, seed=3) != draw(given, 10, seed=4)


def test_the_hash_of_a_set_is_of_its_contents(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"2"), ("c", b"1"), ("d", b"3")):
        (tmp_path / name).write_bytes(content)
    a, b, c, d = (Labelled(tmp_path / name, 0) for name in "abcd")
    assert set_hash([a, b]) == set_hash([b, a]) == set_hash([b, c])
    assert set_hash([a, b]) != set_hash([a, d])
    assert set_hash([a]) != set_hash([a, c])


@pytest.fixture
def files(tmp_path: Path) -> list[Labelled]:
    """Four photos; the last has the contents of the first under another name."""
    for name, content in (("a", b"1"), ("b", b"2"), ("c", b"33"), ("d", b"1")):
        (tmp_path / name).write_bytes(content)
    return [Labelled(tmp_path / name, label) for label, name in enumerate("abcd")]


def test_photos_to_judge_by_do_not_calibrate_whatever_their_names(
    files: list[Labelled], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, c, d = files
    assert without_judges([b, c], [a.path]) == [b, c]
    assert capsys.readouterr().err == ""
    assert without_judges([a, b, c], [d.path]) == [b, c]
    said = " ".join(capsys.readouterr().err.split())
    assert "1 calibration photos are photos to judge or test by and are left out; 2 remain" in said


def test_a_judge_that_is_gone_stops_nobody(files: list[Labelled]) -> None:
    assert without_judges(files, [Path("gone.jpg")]) == files


def test_when_all_are_judges_nothing_is_proved_and_that_is_said(files: list[Labelled]) -> None:
    with pytest.raises(DataError, match="--calibration DIR"):
        without_judges(files[:1], [files[3].path])


def test_a_photo_that_is_there_twice_counts_once_the_first_time(files: list[Labelled]) -> None:
    a, b, c, d = files
    assert once(files) == [a, b, c]
    assert once([d, c, b, a]) == [d, c, b]
    assert once([]) == []


def test_classes_with_too_few_photos_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    available = photos({0: 9, 1: 1})
    covered = coverage(draw(available, 6), available, ("cat", "dog", "eel"))
    assert covered == [("cat", 5, 9), ("dog", 1, 1), ("eel", 0, 0)]
    report_coverage(covered)
    told = " ".join(capsys.readouterr().err.split())
    assert "6 photos of 2 of 3 classes, 0 to 5 of each" in told
    assert "Too few photos to calibrate on: dog (1 of 1), eel (0 of 0)." in told
