"""The teacher on a real bundle with the fixed engine, whose features are colours."""

from pathlib import Path

import numpy as np
import pytest

from edge.loop_kit import make_bundle
from edgecam_engines.bundle import open_bundle
from edgecam_engines.engine import Frame
from edgecam_engines.errors import BundleDamaged, BundleError, DataError
from edgecam_engines.geometry import fit
from edgecam_engines.head import Head
from edgecam_engines.swap import replace_folder
from edgecam_engines.taught.versions import carry_taught, versions
from edgecam_training.fewshot.lesson import Ways
from edgecam_training.fewshot.teacher import Teacher, look, open_teacher
from fewshot.teach_kit import photo

ALONE = Ways(alone=True)


def teach(teacher: Teacher, names: tuple[str, ...], each: int = 6, first: int = 0) -> None:
    for k, name in enumerate(names):
        for number in range(first, first + each):
            teacher.add(photo(name, 100 * k + number), name, source="kit")


def named(head: Head, bundle: Path, frame: Frame) -> str:
    opened = open_bundle(bundle)
    engine = opened.engine()
    features = engine.infer(fit(frame, opened.input_hw)[None])
    engine.close()
    return head.classes[int(head.logits(features).argmax())]


def test_what_was_taught_is_named_by_the_bundles_new_head(fixed_bundle: Path) -> None:
    with open_teacher(fixed_bundle) as teacher:
        teach(teacher, ("orange", "violet", "teal"))
        lesson = teacher.fit(ALONE)
    assert lesson.figures.right is not None
    assert lesson.figures.right.value > 0.9
    head = open_bundle(fixed_bundle).head("taught")
    assert head.classes == ("orange", "teal", "violet")
    for k, name in enumerate(("orange", "violet", "teal")):
        assert named(head, fixed_bundle, photo(name, 100 * k + 50)) == name


def test_beside_old_classes_both_are_known(fixed_bundle: Path) -> None:
    with open_teacher(fixed_bundle) as teacher:
        teach(teacher, ("violet", "lime", "teal"))
        lesson = teacher.fit()
    assert lesson.taught.head.classes == ("blue thing", "green thing", "red thing", "lime", "teal", "violet")
    assert lesson.figures.right is not None
    assert lesson.figures.right.value >= 0.7


def test_the_same_photo_counts_once_and_one_that_shows_the_same_is_told(fixed_bundle: Path) -> None:
    with open_teacher(fixed_bundle) as teacher:
        first = teacher.add(photo("teal", 1), "a", source="kit")
        again = teacher.add(photo("teal", 1), "b", source="kit")
        noise = np.random.default_rng(0).integers(0, 3, (64, 64, 3)).astype(np.uint8)
        near = teacher.add(photo("teal", 1) // 2 * 2 + noise, "b", source="kit")
        other = teacher.add(photo("orange", 1), "b", source="kit")
    assert (first.was, first.like) == (None, None)
    assert again.was == "a"
    assert len(teacher.store.examples) == 3
    assert near.like == again.example.id
    assert other.like is None


def test_features_of_the_running_loop_are_taken_as_they_are(fixed_bundle: Path) -> None:
    with open_teacher(fixed_bundle) as teacher:
        seen = np.full((1, 3, 8, 8), 0.25, np.float32)
        added = teacher.add(photo("teal", 1), "a", source="loop", features=seen)
    np.testing.assert_allclose(added.example.pooled, 0.25)


def test_undo_brings_head_photos_and_labels_back(fixed_bundle: Path) -> None:
    with open_teacher(fixed_bundle) as teacher:
        teach(teacher, ("orange", "violet"))
        before = teacher.fit(ALONE)
        kept = {key: each.label for key, each in teacher.store.examples.items()}
        teacher.remove_class("violet")
        teach(teacher, ("teal", "lime"))
        teacher.store.relabel(next(iter(teacher.store.examples)), "lime")
        teacher.fit()
    with open_teacher(fixed_bundle) as teacher:
        undone = teacher.undo()
        assert (undone.version, undone.photos, undone.missing) == (1, len(kept), [])
        assert {key: each.label for key, each in teacher.store.examples.items()} == kept
        again = teacher.fit()
    np.testing.assert_array_equal(again.taught.head.weight, before.taught.head.weight)
    np.testing.assert_array_equal(again.taught.head.bias, before.taught.head.bias)


def test_undo_leads_out_of_a_version_that_was_damaged(fixed_bundle: Path) -> None:
    with open_teacher(fixed_bundle) as teacher:
        teach(teacher, ("orange", "violet"))
        teacher.fit(ALONE)
        teacher.fit()
        (teacher.folder / "versions" / "0002.json").write_text("{}")
        with pytest.raises(BundleDamaged, match="--undo"):
            teacher.fit()
        assert teacher.undo().version == 1
        assert teacher.fit().taught.version == 3


def test_undoing_the_first_lesson_takes_the_head_away(fixed_bundle: Path) -> None:
    with open_teacher(fixed_bundle) as teacher:
        teach(teacher, ("orange", "violet"))
        teacher.fit(ALONE)
        assert teacher.undo().version is None
        assert teacher.store.examples == {}
        with pytest.raises(BundleError, match="nothing to undo"):
            teacher.undo()
    assert open_bundle(fixed_bundle).heads == ["default"]


def test_the_next_lesson_is_fitted_as_the_one_before(fixed_bundle: Path) -> None:
    with open_teacher(fixed_bundle, "mine") as teacher:
        teach(teacher, ("orange", "violet"))
        teacher.fit(Ways(method="ncm", alone=True, max_false_reject=0.1))
    with open_teacher(fixed_bundle, "mine") as teacher:
        assert teacher.ways == Ways(method="ncm", alone=True, max_false_reject=0.1)
        assert teacher.fit().taught.about["figures"]["method"] == "ncm"


def test_a_quick_lesson_gives_the_head_that_the_same_method_gives_at_leisure(fixed_bundle: Path) -> None:
    with open_teacher(fixed_bundle) as teacher:
        teach(teacher, ("orange", "violet", "teal"))
        method = teacher.fit(ALONE).taught.about["figures"]["method"]
        teach(teacher, ("lime",))
        quick = teacher.fit(quick=True)
        slow = teacher.fit(Ways(method, alone=True))
    assert quick.taught.about["figures"]["method"] == method
    assert quick.figures.pulls == []
    assert quick.figures.right == slow.figures.right
    np.testing.assert_array_equal(quick.taught.head.weight, slow.taught.head.weight)
    assert quick.taught.about["ways"] == {"method": "auto", "alone": True, "max_false_reject": 0.05}


def test_several_heads_of_a_bundle_know_nothing_of_each_other(fixed_bundle: Path) -> None:
    for name, classes in (("one", ("orange", "violet")), ("two", ("teal", "lime"))):
        with open_teacher(fixed_bundle, name) as teacher:
            teach(teacher, classes)
            teacher.fit(ALONE)
    opened = open_bundle(fixed_bundle)
    assert opened.heads == ["default", "one", "two"]
    assert opened.head("two").classes == ("lime", "teal")
    assert [found["head"] for found in look(opened)] == ["one", "two"]


def test_a_head_that_was_built_is_not_taught_over(fixed_bundle: Path) -> None:
    with pytest.raises(BundleError, match="--head taught"), open_teacher(fixed_bundle, "default"):
        pass


def test_nothing_new_is_refused_with_what_to_do(fixed_bundle: Path) -> None:
    with open_teacher(fixed_bundle) as teacher:
        with pytest.raises(DataError, match="no photos"):
            teacher.fit()
        teacher.add(photo("teal", 1), "red thing", source="kit")
        with pytest.raises(DataError, match="--alone"):
            teacher.fit()
        with pytest.raises(DataError, match="red thing"):
            teacher.remove_class("teal")


def test_photos_under_an_old_name_show_what_was_forgotten(fixed_bundle: Path) -> None:
    with open_teacher(fixed_bundle) as teacher:
        teach(teacher, ("orange", "violet", "lime"))
        for number in range(10):
            frame = np.full((64, 64, 3), (220, 40, 40), np.uint8)
            frame[:2, :] = number * 20
            teacher.add(frame, "blue thing", source="kit")
        lesson = teacher.fit()
    assert lesson.figures.forgotten is not None
    assert lesson.figures.forgotten.n == 10
    assert "blue thing" not in lesson.taken.classes


def rebuilt(bundle: Path, stride: int) -> None:
    """Another network where the bundle was, with what was taught, as `build-engine` does it."""
    new = make_bundle(bundle.with_name("new.edgecam"), stride=stride)
    carry_taught(bundle, new)
    replace_folder(new, bundle)


def test_another_engine_looks_at_the_kept_photos_again(fixed_bundle: Path) -> None:
    with open_teacher(fixed_bundle) as teacher:
        teach(teacher, ("orange", "violet", "teal"))
        teacher.fit(ALONE)
        before = {key: each.photo.tobytes() for key, each in teacher.store.examples.items()}
    rebuilt(fixed_bundle, stride=16)
    with open_teacher(fixed_bundle) as teacher:
        lesson = teacher.fit()
        assert {key: each.photo.tobytes() for key, each in teacher.store.examples.items()} == before
        assert {each.cells.shape for each in teacher.store.ordered()} == {(3, 2, 2)}
    assert lesson.taught.version == 2
    assert open_bundle(fixed_bundle).head("taught").classes == ("orange", "teal", "violet")


def test_without_photos_another_engine_is_refused_before_anything_changes(fixed_bundle: Path) -> None:
    with open_teacher(fixed_bundle, keep_photos=False) as teacher:
        teach(teacher, ("orange", "violet"))
        teacher.fit(ALONE)
    rebuilt(fixed_bundle, stride=16)
    with open_teacher(fixed_bundle) as teacher, pytest.raises(BundleError, match=r"--remove-class 'orange'"):
        teacher.fit()


def test_only_the_newest_versions_are_kept(fixed_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecam_training.fewshot.teacher.VERSIONS_KEPT", 3)
    with open_teacher(fixed_bundle) as teacher:
        teach(teacher, ("orange", "violet"))
        for _ in range(5):
            teacher.fit(Ways("ncm", alone=True))
        assert versions(teacher.folder) == [3, 4, 5]
        assert teacher.undo().version == 4
        assert teacher.undo().version == 3
        with pytest.raises(BundleError, match="no longer kept"):
            teacher.undo()
