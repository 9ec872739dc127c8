"""Names as parts of files and topics: safe, stable, and different where the names are."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from edgecam.naming import LONGEST, slug, topic_level

ANY = st.text(st.characters(), max_size=200)  # half pairs included


@given(ANY)
@example("")
@example("..")
@example("/dev/video0")
def test_a_slug_is_a_harmless_file_name(name: str) -> None:
    assert re.fullmatch(rf"[A-Za-z0-9_-]{{1,{LONGEST + 5}}}", slug(name))
    assert slug(name) == slug(name)


@given(ANY)
@example("+")
@example("a\0b")
@example("\ud800")
@example("\uffff")
def test_a_topic_level_holds_nothing_that_a_broker_may_refuse(name: str) -> None:
    level = topic_level(name)
    assert level
    assert set(level).isdisjoint("+#/\0")
    level.encode()
    assert all(c.isprintable() or c.isspace() for c in level)


@given(ANY, ANY)
@example("a/b", "a+b")
@example("a/b", "a_b")
@example("x" * 80, "x" * 81)
def test_different_names_stay_different(one: str, other: str) -> None:
    if one != other and min(len(one), len(other)) > 0:
        plain = {one, other} & {slug(one), slug(other)}
        assert slug(one) != slug(other) or plain, "four digits of a hash, or a name that looks like one"


def test_names_that_are_safe_already_stay_as_they_are() -> None:
    assert slug("line_1-a") == topic_level("line_1-a") == "line_1-a"
    assert topic_level("Tür 3 (links)") == "Tür 3 (links)"
    assert slug("") == topic_level("") == "camera"
    assert slug("/dev/video0") == "dev_video0-03e8"
