"""The desk: what is taken, when it is learned, and that the loop never waits for it."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from edge.teaching.teaching_kit import ListTutors, desk_of, said_of, textured
from edge.web.web_kit import event_of, until
from edgecam.teaching.desk import WAITING, WAITING_SHOTS, Busy, Desk
from edgecam.teaching.holding import Hold, Taken
from edgecam_engines.errors import DataError, OutputError

MUG = Hold("mug", "front", "mine")


def show(desk: Desk, frames: range, hold: Hold = MUG) -> None:
    """Frames of the camera, until each is in the desk's hands or past."""
    for seed in frames:
        desk.hold(hold)
        desk.offer(textured(seed), said_of(textured(seed), hold.camera))
        time.sleep(0.26)


def test_what_is_held_is_taken_with_its_features_and_learned_when_let_go() -> None:
    tutors = ListTutors()
    with desk_of(tutors) as desk:
        show(desk, range(3))
        assert desk.state()["hold"] == {"label": "mug", "camera": "front"}
        assert tutors.tutor.versions == [], "nothing is learned while more may come"
        desk.release("mine")
        until(lambda: len(tutors.tutor.versions) == 1)
        assert [shot.label for shot in tutors.tutor.shots] == ["mug"] * 3
        for seed, shot in enumerate(tutors.tutor.shots):
            assert np.array_equal(shot.frame, textured(seed))
            assert shot.features is not None
            assert np.array_equal(shot.features, said_of(textured(seed)).features)  # type: ignore[arg-type]
        until(lambda: desk.state()["version"] == 1)
        assert desk.choice.wished() == "taught", "and the loop is asked to answer by it"
        assert (desk.state()["taken"], desk.state()["unlearned"]) == (3, 0)


def test_what_is_taken_is_a_copy_for_the_loop_draws_on_its_frames() -> None:
    tutors = ListTutors()
    with desk_of(tutors) as desk:
        desk.hold(MUG)
        frame = textured(1)
        desk.offer(frame, said_of(frame))
        frame[:] = 0
        until(lambda: tutors.tutor.shots)
        assert np.array_equal(tutors.tutor.shots[0].frame, textured(1))


def test_frames_without_a_button_held_are_nobodys() -> None:
    tutors = ListTutors()
    with desk_of(tutors) as desk:
        desk.offer(textured(0), said_of(textured(0)))
        assert (tutors.opened, desk.state()["photos"]) == (0, [])


@pytest.mark.parametrize(("anyway", "taken"), [(False, 0), (True, 1)])
def test_a_blurred_frame_is_told_and_taken_only_where_that_is_wanted(anyway: bool, taken: int) -> None:
    tutors = ListTutors()
    with desk_of(tutors) as desk:
        desk.hold(Hold("mug", "front", "mine", anyway))
        flat = np.full((120, 160, 3), 128, np.uint8)
        desk.offer(flat, said_of(flat))
        until(lambda: desk.state()["hints"])
        assert "blurred" in desk.state()["hints"][0]
        until(lambda: desk.state()["taken"] == taken)
        assert len(tutors.tutor.shots) == taken


def test_the_same_frame_twice_is_taken_once() -> None:
    tutors = ListTutors()
    with desk_of(tutors) as desk:
        for _ in range(2):
            desk.hold(MUG)
            desk.offer(textured(5), said_of(textured(5)))
            time.sleep(0.26)
        until(lambda: "the same as the last one" in " ".join(desk.state()["hints"]))
        assert len(tutors.tutor.shots) == 1


def test_the_loop_never_waits_and_what_comes_too_fast_is_counted() -> None:
    tutors = ListTutors()
    tutors.tutor.may_fit.clear()
    with desk_of(tutors) as desk:
        desk.say(lambda: textured(0), "event 1", "mug", "mine")
        assert tutors.tutor.fitting.wait(5)  # and hangs
        slowest = 0.0
        for seed in range(WAITING_SHOTS + 3):
            desk.hold(MUG)
            began = time.perf_counter()
            desk.offer(textured(seed), said_of(textured(seed)))
            slowest = max(slowest, time.perf_counter() - began)
            time.sleep(0.26)
        assert desk.dropped >= 2
        assert slowest < 2.0, "a fit that hangs would have kept it for ever"
        for _ in range(WAITING - WAITING_SHOTS):
            desk.undo("mine")
        with pytest.raises(Busy):
            desk.undo("mine")


def test_a_wrong_event_is_learned_at_once_from_its_best_frame() -> None:
    tutors = ListTutors()
    with desk_of(tutors) as desk:
        desk.event(event_of("e1", textured(3)))
        assert desk.say_event("e1", "mug", "mine")
        assert not desk.say_event("e2", "mug", "mine"), "nobody has seen it"
        until(lambda: tutors.tutor.versions)
        (shot,) = tutors.tutor.shots
        assert (shot.label, shot.source, shot.features) == ("mug", "event e1", None)
        assert shot.frame.shape == (64, 64, 3), "as the engine would see it"


def test_undo_takes_one_press_back_and_without_any_version_the_base_answers_again() -> None:
    tutors = ListTutors()
    with desk_of(tutors) as desk:
        desk.say(lambda: textured(0), "event 1", "mug", "mine")
        until(lambda: len(tutors.tutor.versions) == 1)
        until(lambda: desk.choice.wished() == "taught")
        desk.undo("mine")
        until(lambda: desk.choice.wished() == "default")
        until(lambda: desk.state()["photos"] == [])


def test_photos_are_renamed_and_removed_and_each_time_it_learns() -> None:
    tutors = ListTutors()
    with desk_of(tutors) as desk:
        desk.say(lambda: textured(0), "event 1", "mug", "mine")
        until(lambda: desk.knows("1"))
        desk.relabel("1", "cup", "mine")
        until(lambda: tutors.tutor.versions and tutors.tutor.versions[-1]["1"][0] == "cup")
        desk.remove("1", "mine")
        until(lambda: not desk.knows("1"))


def test_what_is_too_little_to_learn_from_is_said_as_advice_until_it_is_enough() -> None:
    tutors = ListTutors()
    tutors.tutor.fails = DataError("There are photos of only 'mug'.\nTeach another.")
    with desk_of(tutors) as desk:
        desk.say(lambda: textured(0), "event 1", "mug", "mine")
        until(lambda: "only 'mug'" in desk.state()["advice"])
        assert (desk.state()["trouble"], desk.choice.wished()) == ("", None)
        desk.say(lambda: textured(1), "event 2", "cup", "mine")
        until(lambda: desk.state()["version"] == 1)
        assert desk.state()["advice"] == ""


def test_a_disk_that_is_full_is_said_and_the_desk_goes_on() -> None:
    tutors = ListTutors()
    tutors.tutor.fails = OutputError("There is no space left.")
    with desk_of(tutors) as desk:
        desk.say(lambda: textured(0), "event 1", "mug", "mine")
        until(lambda: "no space left" in desk.state()["trouble"])
        desk.say(lambda: textured(1), "event 2", "cup", "mine")
        until(lambda: len(tutors.tutor.versions) == 1)
        assert desk.state()["trouble"] == ""


def test_an_error_that_nobody_foresaw_ends_neither_the_desk_nor_the_loop() -> None:
    tutors = ListTutors()
    tutors.tutor.fails = ZeroDivisionError("so it goes")
    with desk_of(tutors) as desk:
        desk.say(lambda: textured(0), "event 1", "mug", "mine")
        until(lambda: "so it goes" in desk.state()["trouble"])
        desk.say(lambda: textured(1), "event 2", "cup", "mine")
        until(lambda: len(tutors.tutor.versions) == 1)


def test_a_bundle_that_another_program_teaches_is_refused_in_words() -> None:
    tutors = ListTutors()
    tutors.locked = True
    with desk_of(tutors) as desk:
        desk.hold(MUG)
        until(lambda: "another program (process 7)" in desk.state()["trouble"])
        assert desk.state()["hold"] is None
        tutors.locked = False
        desk.hold(MUG)
        until(lambda: tutors.opened == 1)
        assert desk.state()["trouble"] == ""


def test_a_second_page_is_refused(desk: Desk) -> None:
    desk.hold(MUG)
    for wish in (
        lambda: desk.hold(Hold("cup", "front", "yours")),
        lambda: desk.undo("yours"),
        lambda: desk.use("default", "yours"),
        lambda: desk.release("yours"),
    ):
        with pytest.raises(Taken):
            wish()
    desk.leave("mine")
    desk.undo("yours")


def test_names_that_can_be_no_folder_are_refused_before_anything_is_done(desk: Desk) -> None:
    for wish in (
        lambda: desk.hold(Hold("../mug", "front", "mine")),
        lambda: desk.say(lambda: textured(0), "event 1", "a/b", "mine"),
        lambda: desk.relabel("1", ".hidden", "mine"),
    ):
        with pytest.raises(DataError):
            wish()


def test_the_bundle_is_given_back_when_nothing_was_asked_for_a_while() -> None:
    tutors = ListTutors()
    with desk_of(tutors, idle_s=0.2) as desk:
        desk.say(lambda: textured(0), "event 1", "mug", "mine")
        until(lambda: (tutors.opened, tutors.closed) == (1, 1))
        assert tutors.tutor.versions, "what was taken is learned first"
        desk.undo("mine")
        until(lambda: tutors.opened == 2)


def test_closing_ends_the_thread() -> None:
    with desk_of(ListTutors()):
        pass
    assert "edgecam-teach" not in [thread.name for thread in threading.enumerate()]


@pytest.fixture
def desk() -> Iterator[Desk]:
    with desk_of(ListTutors()) as made:
        yield made
