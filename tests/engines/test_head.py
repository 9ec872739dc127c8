import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from edgecam_engines.errors import BundleDamaged, OutputError
from edgecam_engines.head import Head, load_head, save_head

NAMES = ("cat", "grün", "[bold]x[/]")


def head(d: int = 8, temperature: float = 1.7, seed: int = 0) -> Head:
    rng = np.random.default_rng(seed)
    return Head(
        rng.normal(size=(3, d)).astype(np.float32), rng.normal(size=3).astype(np.float32), NAMES, temperature
    )


def features(n: int, d: int, gh: int, gw: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d, gh, gw)).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5), st.integers(1, 64), st.integers(1, 14), st.integers(1, 14), st.integers(0, 99))
def test_the_mean_of_a_map_and_the_bias_are_the_logit(n: int, d: int, gh: int, gw: int, seed: int) -> None:
    one, given = head(d, seed=seed), features(n, d, gh, gw, seed)
    logits = one.logits(given)
    for k in range(3):
        cam = one.cam(given, [k] * n)
        assert cam.shape == (n, gh, gw)
        np.testing.assert_allclose(cam.mean(axis=(1, 2)) + one.bias[k], logits[:, k], atol=1e-5)


def test_each_picture_gets_the_map_of_its_own_class() -> None:
    one, given = head(), features(3, 8, 4, 5)
    together = one.cam(given, np.array([2, 0, 1]))
    for i, k in enumerate((2, 0, 1)):
        np.testing.assert_allclose(together[i], one.cam(given[i : i + 1], [k])[0], rtol=1e-6)


def test_a_map_shows_where_the_feature_is() -> None:
    given = np.zeros((1, 3, 4, 5), dtype=np.float32)
    given[0, 1, 2, 3] = 1
    cam = Head(np.eye(3, dtype=np.float32), np.zeros(3, np.float32), NAMES).cam(given, [1])[0]
    assert np.argwhere(cam).tolist() == [[2, 3]]


def test_probabilities_sum_to_one_and_no_logit_is_too_large() -> None:
    logits = np.array([[1e4, 0, -1e4], [3e38, -3e38, 0], [1, 2, 3]], dtype=np.float32)
    with np.errstate(over="ignore"):  # a difference beyond float32 is still probability 0
        probabilities = head().probabilities(logits)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert np.isfinite(probabilities).all()


def test_temperature_softens_and_never_changes_the_order() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    cold, warm = (head(temperature=t).probabilities(logits) for t in (0.5, 5.0))
    np.testing.assert_array_equal(cold.argsort(axis=1), warm.argsort(axis=1))
    assert (warm.max(axis=1) < cold.max(axis=1)).all()


def test_the_best_classes_come_first_and_ties_in_the_order_of_classes() -> None:
    ranked = head().ranked(np.array([0.4, 0.2, 0.4], dtype=np.float32), top=2)
    assert [(r.class_index, r.label) for r in ranked] == [(0, NAMES[0]), (2, NAMES[2])]
    assert len(head().ranked(np.array([0.4, 0.2, 0.4], dtype=np.float32), top=9)) == 3


def test_what_was_saved_is_what_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "heads" / "a.safetensors"
    save_head(head(), path)
    loaded = load_head(path)
    np.testing.assert_array_equal(loaded.weight, head().weight)
    np.testing.assert_array_equal(loaded.bias, head().bias)
    assert (loaded.classes, loaded.temperature) == (NAMES, 1.7)


def test_a_head_that_finds_no_room_is_an_output_error(small_disk: Path) -> None:
    large = Head(np.ones((3, 200_000), np.float32), np.zeros(3, np.float32), NAMES)
    with pytest.raises(OutputError, match="No space left"):
        save_head(large, small_disk / "a.safetensors")
    assert list(small_disk.iterdir()) == []


def header(path: Path, **change: str) -> None:
    about = {"classes": json.dumps(NAMES), "temperature": "1.0", **change}
    save_file({"weight": head().weight, "bias": head().bias}, path, metadata=about)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: None,
        lambda path: path.mkdir(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x00" * 7),
        lambda path: path.write_bytes(b"\xff" * 64),
        lambda path: path.write_bytes(np.random.default_rng(0).bytes(4096)),
        lambda path: save_file({"weight": head().weight}, path),
        lambda path: save_file({"weight": head().weight, "bias": head().bias}, path),
        lambda path: header(path, classes="no json"),
        lambda path: header(path, classes="null"),
        lambda path: header(path, classes='["one"]'),
        lambda path: header(path, classes="[" * 100_000),
        lambda path: header(path, temperature="0"),
        lambda path: header(path, temperature="nan"),
        lambda path: header(path, temperature="warm"),
    ],
    ids=[
        "missing",
        "folder",
        "empty",
        "7 bytes",
        "ones",
        "noise",
        "no bias",
        "no names",
        "words",
        "null",
        "one",
        "nest",
        "cold",
        "nan",
        "warm",
    ],
)
def test_anything_else_is_damage_that_names_the_file(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "a.safetensors"
    make(path)
    with pytest.raises(BundleDamaged, match=r"a\.safetensors is not a class head"):
        load_head(path)


@pytest.mark.parametrize(("k", "names"), [(1, NAMES[:1]), (2, NAMES), (3, NAMES[:2])])
def test_names_weights_and_biases_must_be_as_many(k: int, names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="two classes or more and one row and bias for each"):
        Head(np.ones((k, 4), np.float32), np.zeros(k, np.float32), names)
