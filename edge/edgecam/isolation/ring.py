"""Our side of the shared memory: frames that lie in it until nothing uses them any more."""

import mmap
import weakref
from contextlib import suppress
from typing import Final

import numpy as np

from edgecam.isolation.channel import Channel, Closed, Freed
from edgecam_engines.engine import Frame

# One being written, one in the mailbox, one each with the engine, behind it, and being drawn; one to spare.
SLOTS: Final = 6
WRITERS: Final = 2  # slots that the writer is never left without


class Mapped:
    """One ring. Its memory lives as long as a frame in it does."""

    def __init__(self, fd: int, ring: int, slots: int, slot_bytes: int, channel: Channel) -> None:
        self._ring, self._slots, self._slot_bytes, self._channel = ring, slots, slot_bytes, channel
        self._out: dict[int, weakref.ref[Frame]] = {}  # slots that frames here still use
        self._memory = mmap.mmap(fd, slots * slot_bytes)

    def frame(self, slot: int, height: int, width: int) -> Frame:
        """The frame itself, ours to draw on. Its slot goes back with the last reference to it.

        Copied when so many are kept that the writer would be left without a slot.
        """
        frame = view(self._memory, slot * self._slot_bytes, height, width)
        self._out[slot] = weakref.ref(frame, lambda _: self._give_back(slot))
        crowded = len(self._out) > self._slots - WRITERS
        return frame.copy() if crowded else frame

    def _give_back(self, slot: int) -> None:
        del self._out[slot]
        with suppress(Closed):  # the reader is gone, and its ring with it
            self._channel.send(Freed(self._ring, slot))


def view(memory: mmap.mmap, offset: int, height: int, width: int) -> Frame:
    """Memory as a frame."""
    frame: Frame = np.ndarray((height, width, 3), np.uint8, buffer=memory, offset=offset)
    return frame
