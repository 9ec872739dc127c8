"""Which head answers: what was chosen last, in the page or in the settings."""

from dataclasses import replace
from pathlib import Path

from edgecam.settings import RunSettings
from edgecam.teaching.choice import HeadChoice

SETTINGS = RunSettings(Path("line.edgecam"), teach="taught")


def test_what_was_taught_before_answers_from_the_start_unless_a_head_is_named() -> None:
    assert HeadChoice("default", SETTINGS, "taught").over(SETTINGS).head == "taught"
    assert HeadChoice("default", SETTINGS).over(SETTINGS).head == "default"
    named = replace(SETTINGS, head="night")
    assert HeadChoice("night", named, "taught").over(named).head == "night"


def test_a_choice_is_wished_for_once_and_holds_when_the_settings_are_read_again() -> None:
    choice = HeadChoice("default", SETTINGS)
    assert choice.wished() is None
    choice.choose("taught")
    assert (choice.wished(), choice.wished()) == ("taught", None)
    assert choice.over(replace(SETTINGS, threshold=0.9)) == replace(SETTINGS, threshold=0.9, head="taught")


def test_a_head_that_is_written_into_the_settings_later_goes_before_the_page() -> None:
    choice = HeadChoice("default", SETTINGS)
    choice.choose("taught")
    assert choice.over(replace(SETTINGS, head="night")).head == "night"
    choice.choose("taught")
    assert choice.over(replace(SETTINGS, head="night")).head == "taught"


def test_a_reload_that_failed_is_told_to_the_page_until_one_works() -> None:
    choice = HeadChoice("default", SETTINGS)
    heard = []
    choice.listen = lambda: heard.append(choice.trouble)
    choice.told("The settings stay as they were.", "error")
    choice.told("Settings read again: the class head changed.")
    assert heard == ["The settings stay as they were.", ""]
