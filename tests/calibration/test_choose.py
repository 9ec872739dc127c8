from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgecam_calibration.choose import choose, set_hash
from edgecam_calibration.evaluate import Labelled


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
