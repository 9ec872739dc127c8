"""Frames over shared memory: whose slot is whose, and nothing torn, lost or left behind."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecam.isolation.channel import Beat, Channel, Closed, Freed, Message, Told, pair, told
from edgecam.isolation.mailbox import Inbox, Outbox, Placed
from edgecam.isolation.ring import SLOTS
from edgecam.isolation.writer import Writer
from edgecam_engines.engine import Frame
from faults.witness import open_files


@pytest.fixture
def ends() -> tuple[Channel, Channel]:
    ours, theirs = pair()
    return Channel(ours), Channel(theirs)


def writer_and_inbox(slots: int = SLOTS) -> tuple[Writer, Inbox]:
    """Both sides of a ring in one process."""
    ours, theirs = pair()
    giving, taking = pair()
    shared = type(taking)(fileno=taking.dup().detach())
    return Writer(Channel(theirs), Outbox(giving, shared), slots), Inbox(taking, Channel(ours))


@pytest.fixture
def both() -> Iterator[tuple[Writer, Inbox]]:
    writer, inbox = writer_and_inbox()
    yield writer, inbox
    writer.close()


def frame_of(value: int, hw: tuple[int, int] = (4, 6)) -> Frame:
    return np.full((*hw, 3), value % 256, np.uint8)


def made(writer: Writer, frame: Frame, into: bool) -> Frame:
    """A frame as a source gives it: made where the writer wants it, if it can and the shape is right."""
    room = writer.room() if into else None
    if room is None or room.shape != frame.shape:
        return frame
    room[:] = frame
    return room


def taken(inbox: Inbox) -> tuple[Frame, Placed]:
    found = inbox.take()
    assert found is not None
    return found


# ---- words


@pytest.mark.parametrize(
    "message", [Beat(2**40, 1.5), Freed(0, 5), Freed(255, 0), Told("opened", {"name": "é", "fps": 1.5})]
)
def test_a_message_arrives_as_it_was_sent(message: Message, ends: tuple[Channel, Channel]) -> None:
    ends[0].send(message)
    assert ends[1].receive(1.0) == message
    assert ends[1].receive() is None


def test_words_that_are_too_long_are_cut_and_not_lost(ends: tuple[Channel, Channel]) -> None:
    ends[0].send(told("failed", "ä" * 100_000))
    heard = ends[1].receive(1.0)
    assert isinstance(heard, Told)
    assert set(heard.words) == {"ä"}
    assert len(heard.words) >= 1000


def test_what_was_said_before_a_sudden_end_is_still_heard() -> None:
    ours, theirs = pair()
    parent, child = Channel(ours), Channel(theirs)
    parent.send(Freed(1, 1))  # never read: the kernel tells the parent of a reset first
    child.send(told("lost", "why"))
    theirs.close()
    heard = parent.receive(1.0)
    assert isinstance(heard, Told)
    assert heard.words == "why"
    with pytest.raises(Closed):
        parent.receive(1.0)
    with pytest.raises(Closed):
        parent.send(Freed(1, 1))


def test_hanging_up_wakes_who_waits(ends: tuple[Channel, Channel]) -> None:
    ended = []

    def wait() -> None:
        with pytest.raises(Closed):
            ends[0].receive(30.0)
        ended.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    ends[0].hang_up()
    thread.join(5.0)
    assert ended == [True]


# ---- frames


def test_a_frame_is_the_memory_itself_and_may_be_drawn_on(both: tuple[Writer, Inbox]) -> None:
    writer, inbox = both
    assert writer.put(frame_of(7), 3, 1.0)
    frame, placed = taken(inbox)
    assert (frame == 7).all()
    assert frame.flags.writeable
    assert not frame.flags.owndata
    assert (placed.number, placed.captured) == (3, 1.0)
    assert inbox.take() is None


def test_a_frame_that_is_made_in_its_place_is_not_copied(both: tuple[Writer, Inbox]) -> None:
    writer, inbox = both
    assert writer.room() is None, "of what shape?"
    writer.put(frame_of(1), 0, 0.0)
    room = writer.room()
    assert room is not None
    assert writer.room() is room, "still not filled"
    room[:] = 2
    assert writer.put(room, 1, 0.0)
    frame, placed = taken(inbox)
    room[:] = 3
    assert (placed.number, frame[0, 0, 0]) == (1, 3)


def test_only_the_newest_frame_is_there_and_the_others_cost_no_slot(both: tuple[Writer, Inbox]) -> None:
    writer, inbox = both
    for number in range(10 * SLOTS):
        assert writer.put(frame_of(number), number, 0.0)
    frame, placed = taken(inbox)
    assert placed.number == 10 * SLOTS - 1
    assert (frame == placed.number % 256).all()
    assert inbox.take() is None


def test_a_slot_goes_back_with_the_last_reference_to_any_part_of_its_frame() -> None:
    writer, inbox = writer_and_inbox(slots=4)
    held = []
    for number in range(2):
        writer.put(frame_of(number), number, 0.0)
        held.append(taken(inbox)[0])
    part = held[0][1:, 2:].T
    held[0] = frame_of(9)
    for number in range(2, 50):
        writer.put(frame_of(number), number, 0.0)
        assert (part == 0).all()
        assert (held[1] == 1).all()
    writer.close()


def test_whoever_keeps_many_frames_gets_copies_and_the_writer_never_lacks_a_slot(
    both: tuple[Writer, Inbox],
) -> None:
    writer, inbox = both
    kept = []
    for number in range(5 * SLOTS):
        assert writer.put(frame_of(number), number, 0.0)
        kept.append(taken(inbox)[0])
    assert all((frame == number).all() for number, frame in enumerate(kept))
    assert [frame.flags.owndata for frame in kept] == [False] * (SLOTS - 2) + [True] * (4 * SLOTS + 2)


@given(
    st.lists(st.one_of(st.integers(1, 5), st.none(), st.just(0)), max_size=60),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_no_held_frame_ever_changes_whatever_the_order_of_writing_and_letting_go(
    steps: list[int | None], seed: int, into: bool
) -> None:
    """A number writes a frame with so many rows, 0 takes, None lets a frame go that chance picks."""
    writer, inbox = writer_and_inbox()
    rng = np.random.default_rng(seed)
    held: list[tuple[Frame, Placed]] = []
    number, last = 0, -1
    for step in steps:
        if step is None:
            if held:
                held.pop(int(rng.integers(len(held))))
        elif step == 0:
            if (found := inbox.take()) is not None:
                assert found[1].number == number - 1 > last
                last = number - 1
                held.append(found)
        else:
            assert writer.put(made(writer, frame_of(number, (step, 4)), into), number, float(number))
            number += 1
        for frame, placed in held:
            assert frame.shape == (placed.height, placed.width, 3)
            assert (frame == placed.number % 256).all()
    writer.close()


def test_a_larger_frame_has_the_ring_remade_and_old_frames_stay_good(both: tuple[Writer, Inbox]) -> None:
    writer, inbox = both
    writer.put(frame_of(1, (4, 4)), 1, 0.0)
    small, before = taken(inbox)
    rings = set()
    for number in range(2, 4 * SLOTS):
        writer.put(frame_of(number, (40, 40)), number, 0.0)
        if number % 3:  # the first frame of a new ring may be one that nobody takes
            continue
        frame, placed = taken(inbox)
        rings.add(placed.ring)
        assert frame.shape == (40, 40, 3)
        assert (frame == number).all()
    assert len(rings) == 1
    assert before.ring not in rings
    assert (small == 1).all()


def test_taking_and_taking_back_at_once_gives_each_frame_to_one_of_the_two() -> None:
    writer, inbox = writer_and_inbox()
    numbers: list[int] = []
    done = threading.Event()

    def take_all() -> None:
        while not done.is_set():
            if (found := inbox.take()) is not None:
                frame, placed = found
                assert (frame == placed.number % 256).all(), "written while it was read"
                numbers.append(placed.number)

    thread = threading.Thread(target=take_all)
    thread.start()
    for number in range(1500):
        assert writer.put(frame_of(number, (20, 30)), number, 0.0)
        time.sleep(1e-4 * (number % 3))  # sometimes the taker comes between, sometimes at the same moment
    done.set()
    thread.join()
    writer.close()
    assert len(numbers) > 10
    assert numbers == sorted(set(numbers))


def test_rings_leave_no_file_descriptor_and_no_name_behind() -> None:
    before, names = open_files(), set(Path("/dev/shm").iterdir())
    writer, inbox = writer_and_inbox()
    for number in range(1, 50):
        writer.put(frame_of(number, (number, 4)), number, 0.0)
        taken(inbox)
    assert set(Path("/dev/shm").iterdir()) <= names
    writer.close()
    del writer, inbox
    assert open_files() == before
