"""The photos that teach, on disk: kept, found again, taken out, and never half there."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecam_engines.errors import DataError, OutputError
from edgecam_training.fewshot.example import Example, digest_of, from_bytes, make_example, to_bytes
from edgecam_training.fewshot.store import Store, open_store
from fewshot.teach_kit import photo

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=timezone(timedelta(hours=2)))


def example(seed: int, label: str = "mug", *, keep_photo: bool = True) -> Example:
    frame = photo("teal", seed)
    features = np.random.default_rng(seed).normal(size=(1, 5, 4, 7)).astype(np.float32)
    return make_example(frame, features, label, source="cam", engine="e", now=NOW, keep_photo=keep_photo)


def same(first: Example, second: Example) -> bool:
    words = all(
        getattr(first, w) == getattr(second, w) for w in ("id", "label", "taken_at", "source", "engine")
    )
    numbers = all(np.array_equal(getattr(first, w), getattr(second, w)) for w in ("pooled", "cells", "photo"))
    return words and numbers


def test_an_example_is_read_back_as_it_was() -> None:
    one = example(1, "grüne Tasse")
    assert same(from_bytes(to_bytes(one)), one)
    assert one.taken_at == "2026-05-04T10:30:00.000+00:00"
    assert one.cells.shape == (5, 2, 4)
    frame = one.frame()
    assert frame is not None
    assert np.abs(frame.astype(int) - photo("teal", 1)).mean() < 6
    assert example(1, keep_photo=False).frame() is None


@pytest.mark.parametrize("broken", [b"", b"\0" * 40, b"{}"])
def test_what_is_no_example_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError):
        from_bytes(broken)


def test_every_cut_of_an_example_is_refused() -> None:
    whole = to_bytes(example(1))
    for end in range(0, len(whole), max(1, len(whole) // 50)):
        with pytest.raises(ValueError):
            from_bytes(whole[:end])


def test_the_same_photo_has_the_same_name_and_another_one_another() -> None:
    assert digest_of(photo("teal", 1)) == digest_of(photo("teal", 1))
    assert digest_of(photo("teal", 1)) != digest_of(photo("teal", 2))


@pytest.mark.parametrize("label", ["", ".", "..", "a/b", "a\\b", "a\nb", " a", "x" * 130, ".hidden"])
def test_a_name_that_can_be_no_folder_is_no_class(label: str) -> None:
    with pytest.raises(DataError, match="cannot be called"):
        example(1, label)


def test_what_is_added_is_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "h")
    for seed in range(3):
        store.add(example(seed, "ab"[seed % 2]))
    again = open_store(tmp_path / "h")
    assert again.labels == ["a", "b"]
    assert [each.id for each in again.ordered()] == [each.id for each in store.ordered()]
    assert all(same(again.examples[key], one) for key, one in store.examples.items())


def test_the_order_of_teaching_does_not_show(tmp_path: Path) -> None:
    stores = [Store(tmp_path / name) for name in "xy"]
    for store, seeds in zip(stores, ([1, 2, 3], [3, 1, 2]), strict=True):
        for seed in seeds:
            store.add(example(seed))
    assert [each.id for each in stores[0].ordered()] == [each.id for each in stores[1].ordered()]


def test_removed_examples_come_back_until_they_are_purged(tmp_path: Path) -> None:
    store = Store(tmp_path / "h")
    one = example(1)
    store.add(one)
    store.remove([one.id])
    assert open_store(tmp_path / "h").examples == {}
    assert store.bring_back(one.id)
    assert same(open_store(tmp_path / "h").examples[one.id], one)
    store.remove([one.id])
    assert store.purge() == 1
    assert not store.bring_back(one.id)


def test_a_photo_taught_anew_under_another_class_changes_its_class(tmp_path: Path) -> None:
    store = Store(tmp_path / "h")
    store.add(example(1, "mug"))
    store.add(example(1, "cup"))
    assert [each.label for each in open_store(tmp_path / "h").ordered()] == ["cup"]
    store.relabel(example(1).id, "glass")
    assert open_store(tmp_path / "h").labels == ["glass"]


def test_files_that_are_no_examples_are_named_and_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "h")
    store.add(example(1))
    odd = tmp_path / "h" / "photos" / "odd.safetensors"
    odd.write_bytes(b"not an example")
    copied = odd.with_name("renamed.safetensors")
    copied.write_bytes(to_bytes(example(1)))  # under a name that is not its own
    again = open_store(tmp_path / "h")
    assert again.bad == [odd, copied]
    assert len(again.examples) == 1
    assert odd.exists()


def test_over_the_quota_removed_photos_go_first_and_then_nothing_is_taken(tmp_path: Path) -> None:
    size = len(to_bytes(example(1)))
    store = Store(tmp_path / "h", quota_mb=3.5 * size / 1e6)
    for seed in range(3):
        store.add(example(seed))
    with pytest.raises(OutputError, match="--quota-mb"):
        store.add(example(8))
    assert len(open_store(tmp_path / "h").examples) == 3
    store.remove([example(0).id])
    store.add(example(9))
    assert not store.bring_back(example(0).id)
    assert len(store.examples) == 3


def test_exported_photos_lie_in_folders_of_their_classes(tmp_path: Path) -> None:
    store = Store(tmp_path / "h")
    store.add(example(1, "a"))
    store.add(example(2, "b"))
    store.add(example(3, "b"))
    assert store.export(tmp_path / "out") == 3
    found = sorted(path.relative_to(tmp_path / "out").parts[0] for path in (tmp_path / "out").rglob("*.jpg"))
    assert found == ["a", "b", "b"]
    assert all(cv2.imread(str(path)) is not None for path in (tmp_path / "out").rglob("*.jpg"))
