"""Frames in memory that two processes share: one copy into a slot, none out of it."""

import mmap
import os
import weakref
from contextlib import suppress
from typing import Final

import numpy as np

from edgecam.isolation.channel import Channel, Closed, Freed, Placed, Ring
from edgecam_engines.engine import Frame

# One being written, one on its way, one newest, and one each with the engine, behind it, and being drawn.
SLOTS: Final = 6
SPARE: Final = 2  # slots that the writer is never left without


class Writer:
    """The child's side. Slots that are not here are the parent's, and are not touched.

    A frame too large for a slot has all of them remade; the parent keeps what it has of the old ones.
    """

    def __init__(self, channel: Channel, slots: int = SLOTS) -> None:
        self._channel, self._slots = channel, slots
        self._ring = 0
        self._slot_bytes = 0
        self._memory: mmap.mmap | None = None
        self._free: list[int] = []

    def put(self, frame: Frame, number: int, captured: float) -> bool:
        """Hand a frame over. False when every slot is with the parent. Raises Closed."""
        self.collect()
        if frame.nbytes > self._slot_bytes:
            self._remake(frame.nbytes)
        if not self._free:
            return False
        slot = self._free.pop()  # the last one freed: its memory is in the cache
        height, width = frame.shape[:2]
        np.copyto(_frame(self._memory, slot * self._slot_bytes, height, width), frame)
        self._channel.send(Placed(self._ring, slot, height, width, number, captured))
        return True

    def collect(self) -> None:
        """Take back what the parent is done with. Raises Closed."""
        while (message := self._channel.receive()) is not None:
            # A slot of an earlier ring went with it.
            if isinstance(message, Freed) and message.ring == self._ring:
                self._free.append(message.slot)

    def _remake(self, slot_bytes: int) -> None:
        self._ring, self._slot_bytes = (self._ring + 1) % 256, slot_bytes
        self._free = list(range(self._slots))
        fd = os.memfd_create("edgecam frames", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, self._slots * slot_bytes)
            self._memory = mmap.mmap(fd, self._slots * slot_bytes)
            self._channel.send(Ring(self._ring, self._slots, slot_bytes, fd))
        finally:
            os.close(fd)


class Mapped:
    """The parent's side. The memory lives as long as a frame in it does."""

    def __init__(self, ring: Ring, channel: Channel) -> None:
        self._ring, self._channel = ring, channel
        self._out: set[int] = set()  # slots that frames here still use
        try:
            self._memory = mmap.mmap(ring.fd, ring.slots * ring.slot_bytes)
        finally:
            os.close(ring.fd)

    def frame(self, placed: Placed) -> Frame:
        """The frame itself, ours to draw on. Its slot goes back with the last reference to it."""
        frame = _frame(self._memory, placed.slot * self._ring.slot_bytes, placed.height, placed.width)
        self._out.add(placed.slot)
        weakref.finalize(frame, _give_back, self._out, self._channel, placed).atexit = False
        return frame

    @property
    def crowded(self) -> bool:
        """Whether so many frames are kept that the writer would soon have no slot."""
        return len(self._out) > self._ring.slots - SPARE


def _frame(memory: mmap.mmap | None, offset: int, height: int, width: int) -> Frame:
    frame: Frame = np.ndarray((height, width, 3), np.uint8, buffer=memory, offset=offset)
    return frame


def _give_back(out: set[int], channel: Channel, placed: Placed) -> None:
    out.discard(placed.slot)
    with suppress(Closed):  # the reader is gone, and its ring with it
        channel.send(Freed(placed.ring, placed.slot))
