"""The outbox: bounded, in order, and nothing goes without being counted."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgecam.mqtt.message import Kind, Message, Snapshot
from edgecam.mqtt.outbox import Outbox

KINDS: tuple[Kind, ...] = ("start", "update", "end", "alarm")


def message(number: int, kind: Kind = "update") -> Message:
    return Message("events", str(number).encode(), kind)


def emptied(outbox: Outbox) -> list[Message]:
    taken = []
    while (one := outbox.take()) is not None:
        taken.append(one)
    return taken


@given(
    st.lists(st.one_of(st.sampled_from(KINDS), st.just("take"), st.just("break")), max_size=60),
    st.integers(1, 8),
)
def test_whatever_happens_each_message_is_told_waits_or_is_counted_as_lost(
    steps: list[str], limit: int
) -> None:
    outbox = Outbox(events=limit)
    told: list[Message] = []  # acknowledged
    underway: list[Message] = []
    added: Counter[str] = Counter()
    for number, step in enumerate(steps):
        if step == "take":
            told += underway
            underway = [] if (one := outbox.take()) is None else [one]
        elif step == "break":
            outbox.give_back(underway)
            underway = []
        else:
            added[step] += 1
            outbox.add(message(number, step))  # type: ignore[arg-type]
        assert len(outbox) <= limit
    waiting = emptied(outbox)
    for kind in KINDS:
        seen = sum(m.kind == kind for m in [*told, *underway, *waiting])
        assert seen + outbox.lost().get(kind, 0) == added[kind]
    numbers = [int(m.content()) for m in [*told, *underway, *waiting]]
    assert numbers == sorted(numbers), "in order"


@given(st.lists(st.sampled_from(KINDS), max_size=60), st.integers(1, 20))
def test_no_start_or_end_goes_while_there_is_an_update_to_throw_away(kinds: list[Kind], limit: int) -> None:
    outbox = Outbox(events=limit)
    for number, kind in enumerate(kinds):
        outbox.add(message(number, kind))
    firm = [kind for kind in kinds if kind != "update"]
    lost = sum(n for kind, n in outbox.lost().items() if kind != "update")
    assert lost == max(0, len(firm) - limit)


def test_the_oldest_update_goes_first() -> None:
    outbox = Outbox(events=3)
    for number, kind in enumerate(("start", "update", "update", "end")):
        outbox.add(message(number, kind))  # type: ignore[arg-type]
    assert [int(m.content()) for m in emptied(outbox)] == [0, 2, 3]
    assert outbox.lost() == {"update": 1}


def test_of_everything_else_only_the_latest_of_a_topic_waits() -> None:
    outbox = Outbox()
    for number in range(5):
        outbox.add(Message(f"state {number % 2}", str(number).encode(), "latest"))
    outbox.add(message(9, "start"))
    assert [m.content() for m in emptied(outbox)] == [b"9", b"3", b"4"], "events first"
    assert outbox.lost() == {}, "what was replaced by something newer is not lost"


def test_what_comes_back_never_replaces_something_newer() -> None:
    outbox = Outbox()
    outbox.add(Message("state", b"old", "latest"))
    underway = outbox.take()
    assert underway is not None
    outbox.add(Message("state", b"new", "latest"))
    outbox.give_back([underway])
    assert [m.content() for m in emptied(outbox)] == [b"new"]


def test_pictures_that_wait_are_bounded_by_their_bytes() -> None:
    frame = np.zeros((100, 100, 3), np.uint8)  # 30,000 bytes
    outbox = Outbox(latest_bytes=100_000)
    for number in range(10):
        outbox.add(Message(f"snapshot {number}", Snapshot(frame), "latest"))
    assert [m.topic for m in emptied(outbox)] == ["snapshot 7", "snapshot 8", "snapshot 9"]
    assert outbox.lost() == {"latest": 7}


def test_a_snapshot_lets_its_frame_go_once_it_is_a_jpeg() -> None:
    snapshot = Snapshot(np.zeros((100, 100, 3), np.uint8))
    assert len(snapshot) == 30_000
    assert snapshot.jpeg()[:2] == b"\xff\xd8"
    assert snapshot.jpeg() is snapshot.jpeg()
    assert len(snapshot) == len(snapshot.jpeg()) < 30_000
