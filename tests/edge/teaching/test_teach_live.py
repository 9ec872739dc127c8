"""Teaching a real bundle while its engine is elsewhere: what is kept, learned, undone and refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.loop_kit import make_bundle
from edge.web.web_kit import decoded
from edgecam.commands.teach_live import LiveTutor, LiveTutors, open_teaching
from edgecam.settings import RunSettings
from edgecam.teaching.tutor import Shot
from edgecam_engines.bundle import open_bundle
from edgecam_engines.errors import BundleError, DataError
from edgecam_engines.fixed import FixedEngine
from edgecam_training.fewshot.teacher import open_teacher
from fewshot.teach_kit import photo


def settings_of(bundle: Path) -> RunSettings:
    return RunSettings(bundle, serve="127.0.0.1:0", teach="taught")


def tutors_of(bundle: Path) -> LiveTutors:
    return LiveTutors(open_bundle(bundle), settings_of(bundle))


def teach(tutor: LiveTutor, name: str, seeds: range) -> None:
    for seed in seeds:
        frame = photo(name, seed)
        features = FixedEngine(stride=8).infer(frame[None])
        assert tutor.add(Shot(frame, name, "front", features)) in ("new", "alike")


def no_engine() -> FixedEngine:
    engine = FixedEngine(stride=8)
    engine.close()  # features come with the photos; whoever asks it all the same finds out
    return engine


def test_photos_are_learned_with_the_features_they_came_with(fixed_bundle: Path) -> None:
    tutors = tutors_of(fixed_bundle)
    with tutors.open(no_engine()) as tutor:
        teach(tutor, "teal", range(5))
        assert tutor.notebook().unlearned == 5
        with pytest.raises(DataError, match="only 'teal'"):
            tutor.fit()
        teach(tutor, "violet", range(10, 15))
        tutor.fit()
        book = tutor.notebook()
    assert (book.version, book.unlearned, len(book.photos)) == (1, 0, 10)
    assert book.figures is not None
    assert book.figures["accuracy"]["n"] == 10
    assert open_bundle(fixed_bundle).head("taught").classes[-2:] == ("teal", "violet")
    assert tutors.look()[:4] == book[:4], "and whoever looks later sees the same"


def test_a_tile_shows_the_photo_and_its_map_once_it_was_learned(fixed_bundle: Path) -> None:
    with tutors_of(fixed_bundle).open(no_engine()) as tutor:
        teach(tutor, "teal", range(4))
        teach(tutor, "violet", range(10, 14))
        before = tutor.notebook()
        plain = before.tile(before.photos[0].id)
        tutor.fit()
        after = tutor.notebook()
        mapped = after.tile(after.photos[0].id)
        assert plain is not None
        assert mapped is not None
        assert np.abs(decoded(plain).astype(int) - decoded(mapped)).mean() > 1
        assert after.tile("nobody") is None


def test_the_very_same_photo_is_known(fixed_bundle: Path) -> None:
    with tutors_of(fixed_bundle).open(no_engine()) as tutor:
        teach(tutor, "teal", range(1))
        shot = Shot(photo("teal", 0), "teal", "front", FixedEngine(stride=8).infer(photo("teal", 0)[None]))
        assert tutor.add(shot) == "known"


def test_undo_first_takes_back_what_was_not_learned_then_versions(fixed_bundle: Path) -> None:
    with tutors_of(fixed_bundle).open(no_engine()) as tutor:
        teach(tutor, "teal", range(4))
        teach(tutor, "violet", range(10, 14))
        tutor.fit()
        teach(tutor, "orange", range(20, 23))
        renamed = tutor.notebook().photos[-1].id
        tutor.relabel(renamed, "mauve")
        tutor.undo()
        assert {p.label for p in tutor.notebook().photos} == {"teal", "violet"}
        assert tutor.notebook()[0] == 1
        tutor.remove(renamed)
        tutor.fit()
        assert (tutor.notebook().version, len(tutor.notebook().photos)) == (2, 7)
        tutor.undo()
        assert (tutor.notebook().version, len(tutor.notebook().photos)) == (1, 8)
        tutor.undo()
        assert (tutor.notebook().version, tutor.notebook().photos) == (None, ())


@pytest.mark.parametrize("wish", [lambda t: t.remove("gone"), lambda t: t.relabel("gone", "mug")])
def test_a_photo_that_is_gone_is_said_to_be(fixed_bundle: Path, wish: Callable[[LiveTutor], None]) -> None:
    with tutors_of(fixed_bundle).open(no_engine()) as tutor, pytest.raises(DataError, match="not there"):
        wish(tutor)


def test_two_teachers_at_once_and_a_bundle_that_was_built_anew_are_refused(
    fixed_bundle: Path, tmp_path: Path
) -> None:
    tutors = tutors_of(fixed_bundle)
    with open_teacher(fixed_bundle), pytest.raises(BundleError, match="being taught by another program"):
        tutors.open(no_engine()).__enter__()
    fixed_bundle.rename(tmp_path / "old")
    make_bundle(tmp_path / "new", stride=16).rename(fixed_bundle)
    with pytest.raises(BundleError, match="built anew"):
        tutors.open(no_engine()).__enter__()


def test_a_head_that_was_built_with_the_bundle_cannot_be_taught(fixed_bundle: Path) -> None:
    with pytest.raises(BundleError, match="--teach taught"):
        open_teaching(RunSettings(fixed_bundle, teach="default"))


def test_a_head_of_another_network_does_not_keep_the_loop_from_starting(
    fixed_bundle: Path, tmp_path: Path
) -> None:
    """A bundle that was built anew carries what was taught along; the page fits it again from its photos."""
    with tutors_of(fixed_bundle).open(no_engine()) as tutor:
        teach(tutor, "teal", range(4))
        teach(tutor, "violet", range(10, 14))
        tutor.fit()
    settings = settings_of(fixed_bundle)
    assert open_teaching(settings).choice.over(settings).head == "taught"
    fixed_bundle.rename(tmp_path / "old")
    make_bundle(tmp_path / "new", stride=16).rename(fixed_bundle)
    (tmp_path / "old" / "taught").rename(fixed_bundle / "taught")
    assert open_teaching(settings).choice.over(settings).head == "default"
    with tutors_of(fixed_bundle).open(FixedEngine(stride=16)) as tutor:
        tutor.fit()
    assert open_teaching(settings).choice.over(settings).head == "taught"
