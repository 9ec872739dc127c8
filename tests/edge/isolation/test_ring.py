"""Frames over shared memory: whose slot is whose, and nothing torn, lost or left behind."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecam.isolation.channel import Channel, Closed, Freed, Message, Placed, Ring, Told, told
from edgecam.isolation.ring import SLOTS, SPARE, Mapped, Writer
from edgecam_engines.engine import Frame
from faults.witness import open_files


def pair() -> tuple[Channel, Channel]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(ours), Channel(theirs)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    both = pair()
    yield both
    for end in both:
        end.close()


def frame_of(value: int, hw: tuple[int, int] = (4, 6)) -> Frame:
    return np.full((*hw, 3), value % 256, np.uint8)


class Receiver:
    """The parent's side in one object: maps rings, keeps frames."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.rings = 0
        self.mapped: Mapped | None = None

    def frames(self) -> Iterator[tuple[Frame, Placed]]:
        while (message := self.channel.receive()) is not None:
            if isinstance(message, Ring):
                self.mapped = Mapped(message, self.channel)
                self.rings += 1
            elif isinstance(message, Placed):
                assert self.mapped is not None
                yield self.mapped.frame(message), message


@pytest.mark.parametrize(
    "message",
    [Placed(255, 5, 2160, 3840, 2**40, 1.5), Freed(0, 5), Told("opened", {"name": "é", "fps": 1.5})],
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
    parent, child = pair()
    parent.send(Freed(1, 1))  # never read: the kernel tells the parent of a reset first
    child.send(told("lost", "why"))
    child.close()
    heard = parent.receive(1.0)
    assert isinstance(heard, Told)
    assert heard.words == "why"
    with pytest.raises(Closed):
        parent.receive(1.0)
    with pytest.raises(Closed):
        parent.send(Freed(1, 1))
    parent.close()


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


def test_a_frame_is_the_memory_itself_and_may_be_drawn_on(ends: tuple[Channel, Channel]) -> None:
    writer, receiver = Writer(ends[1]), Receiver(ends[0])
    assert writer.put(frame_of(7), 0, 1.0)
    ((frame, placed),) = receiver.frames()
    assert (frame == 7).all()
    assert frame.flags.writeable
    assert not frame.flags.owndata
    assert (placed.number, placed.captured) == (0, 1.0)


def test_a_slot_goes_back_with_the_last_reference_to_any_part_of_its_frame(
    ends: tuple[Channel, Channel],
) -> None:
    writer, receiver = Writer(ends[1], slots=2), Receiver(ends[0])
    writer.put(frame_of(1), 0, 0.0)
    writer.put(frame_of(2), 1, 0.0)
    held = [frame for frame, _ in receiver.frames()]
    part = held[0][1:, 2:].T
    assert not writer.put(frame_of(3), 2, 0.0), "both slots are out"
    held[0] = frame_of(0)
    assert not writer.put(frame_of(3), 2, 0.0), "a part of the frame is still used"
    assert (part == 1).all()
    del part
    assert writer.put(frame_of(3), 2, 0.0)
    assert (held[1] == 2).all()


@given(st.lists(st.one_of(st.integers(1, 5), st.none(), st.just(0)), max_size=60), st.integers(0, 2**32))
def test_no_held_frame_ever_changes_whatever_the_order_of_writing_and_letting_go(
    steps: list[int | None], seed: int
) -> None:
    """A number writes a frame with so many rows, 0 receives, None lets a frame go that chance picks."""
    ours, theirs = pair()
    writer, receiver = Writer(theirs), Receiver(ours)
    rng = np.random.default_rng(seed)
    held: list[tuple[Frame, Placed]] = []
    number = 0
    for step in steps:
        if step is None:
            if held:
                held.pop(int(rng.integers(len(held))))
        elif step == 0:
            held.extend(receiver.frames())
        else:
            writer.put(frame_of(number, (step, 4)), number, float(number))
            number += 1
        for frame, placed in held:
            assert frame.shape == (placed.height, placed.width, 3)
            assert (frame == placed.number % 256).all()
    ours.close()
    theirs.close()


def test_a_larger_frame_has_the_ring_remade_and_old_frames_stay_good(ends: tuple[Channel, Channel]) -> None:
    writer, receiver = Writer(ends[1]), Receiver(ends[0])
    writer.put(frame_of(1, (4, 4)), 0, 0.0)
    (small,) = [frame for frame, _ in receiver.frames()]
    for number in range(1, 4 * SLOTS):
        writer.put(frame_of(number, (40, 40)), number, 0.0)
        for frame, _ in receiver.frames():
            assert frame.shape == (40, 40, 3)
            assert (frame == number).all()
    assert receiver.rings == 2
    assert (small == 1).all()


def test_the_receiver_is_told_when_it_keeps_too_many(ends: tuple[Channel, Channel]) -> None:
    writer, receiver = Writer(ends[1]), Receiver(ends[0])
    kept: list[Frame] = []
    while receiver.mapped is None or not receiver.mapped.crowded:
        assert writer.put(frame_of(0), 0, 0.0)
        kept += [frame for frame, _ in receiver.frames()]
    assert len(kept) == SLOTS - SPARE + 1
    assert writer.put(frame_of(0), 0, 0.0), "the writer still has a slot"


def test_rings_leave_no_file_descriptor_and_no_name_behind() -> None:
    before, names = open_files(), set(Path("/dev/shm").iterdir())
    ours, theirs = pair()
    writer, receiver = Writer(theirs), Receiver(ours)
    for number in range(1, 50):
        writer.put(frame_of(number, (number, 4)), number, 0.0)
        assert len(list(receiver.frames())) == 1
    assert set(Path("/dev/shm").iterdir()) <= names
    del writer, receiver
    ours.close()
    theirs.close()
    assert open_files() == before
