"""The reader process's side of the shared memory."""

import mmap
import os
from typing import NamedTuple

import numpy as np

from edgecam.isolation.channel import Channel, Freed
from edgecam.isolation.mailbox import Outbox, Placed
from edgecam.isolation.ring import SLOTS, view
from edgecam_engines.engine import Frame


class Room(NamedTuple):
    """A slot that was lent to a source."""

    slot: int
    frame: Frame


class Writer:
    """Puts frames into slots that are ours. All others are the parent's, and are not touched.

    A frame too large for a slot has all of them remade; the parent keeps what it has of the old ones.
    """

    def __init__(self, channel: Channel, outbox: Outbox, slots: int = SLOTS) -> None:
        self._channel, self._outbox, self._slots = channel, outbox, slots
        self._ring = 0
        self._slot_bytes = 0
        self._memory: mmap.mmap | None = None
        self._fd: int | None = None  # until the parent has taken it
        self._sent = False  # whether a frame of this ring went out and did not come back
        self._free: list[int] = []
        self._shape: tuple[int, int] | None = None  # of the last frame
        self._room: Room | None = None

    def room(self) -> Frame | None:
        """Where the next frame may be put at once, in the shape of the last one; None when there is no place.

        Whoever fills it gives that very array to `put`, which then has nothing to copy.
        """
        if self._room is None and self._shape is not None and (slot := self._slot()) is not None:
            self._room = Room(slot, self._view(slot, *self._shape))
        return None if self._room is None else self._room.frame

    def put(self, frame: Frame, number: int, captured: float) -> bool:
        """Make it the newest one. False when the parent has every slot. Raises Closed."""
        slot = self._filled(frame)
        if slot is None:
            return False
        height, width = self._shape = frame.shape[0], frame.shape[1]
        self._take_back()
        placed = Placed(self._ring, self._slots, slot, self._slot_bytes, height, width, number, captured)
        self._outbox.put(placed, self._fd)
        self._sent = True
        return True

    def collect(self) -> None:
        """Take slots that the parent is done with. Raises Closed."""
        while (message := self._channel.receive()) is not None:
            # A slot of an earlier ring went with it.
            if isinstance(message, Freed) and message.ring == self._ring:
                self._free.append(message.slot)

    def close(self) -> None:
        """Give back what we still hold of the ring."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _filled(self, frame: Frame) -> int | None:
        """A slot that holds the frame."""
        room, self._room = self._room, None
        if room is not None:
            if frame is room.frame:
                return room.slot
            self._free.append(room.slot)
        if frame.nbytes > self._slot_bytes:
            self._remake(frame.nbytes)
        slot = self._slot()
        if slot is not None:
            np.copyto(self._view(slot, frame.shape[0], frame.shape[1]), frame)
        return slot

    def _slot(self) -> int | None:
        """One that is ours: the last one freed, whose memory is in the cache."""
        self.collect()
        if not self._free:
            self._take_back()
        return self._free.pop() if self._free else None

    def _view(self, slot: int, height: int, width: int) -> Frame:
        assert self._memory is not None
        return view(self._memory, slot * self._slot_bytes, height, width)

    def _take_back(self) -> None:
        """The last frame's slot, where nobody took it; who took it has the ring's memory too."""
        before = self._outbox.take_back()
        if before is None and self._sent:
            self.close()
        elif before is not None and before.ring == self._ring:
            self._free.append(before.slot)
            self._sent = False

    def _remake(self, slot_bytes: int) -> None:
        self.close()
        self._ring, self._slot_bytes = (self._ring + 1) % 256, slot_bytes
        self._free, self._sent = list(range(self._slots)), False
        self._fd = os.memfd_create("edgecam frames", os.MFD_CLOEXEC)
        os.ftruncate(self._fd, self._slots * slot_bytes)
        self._memory = mmap.mmap(self._fd, self._slots * slot_bytes)
