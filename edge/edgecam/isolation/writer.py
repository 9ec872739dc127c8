"""The reader process's side of the shared memory."""

import mmap
import os

import numpy as np

from edgecam.isolation.channel import Channel, Freed
from edgecam.isolation.mailbox import Outbox, Placed
from edgecam.isolation.ring import SLOTS, view
from edgecam_engines.engine import Frame


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

    def put(self, frame: Frame, number: int, captured: float) -> bool:
        """Make it the newest one. False when the parent has every slot. Raises Closed."""
        self.collect()
        if frame.nbytes > self._slot_bytes:
            self._remake(frame.nbytes)
        if not self._free:
            self._take_back()
        if not self._free:
            return False
        slot = self._free.pop()  # the last one freed: its memory is in the cache
        height, width = frame.shape[:2]
        assert self._memory is not None
        np.copyto(view(self._memory, slot * self._slot_bytes, height, width), frame)
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
