"""Whether there is room to record: shut while the disk is full or gone, and people are told once."""

import shutil
from collections.abc import Callable
from typing import Final

from edgecam.recorder.folder import Folder

LOOK_S: Final = 1.0  # how often the quota is kept, and a shut gate tried


class Gate:
    """Asked before each frame."""

    def __init__(
        self,
        folder: Folder,
        *,
        spare_bytes: int,
        say: Callable[[str], None],
        now: Callable[[], float],
    ) -> None:
        """`spare_bytes` stay free on the disk; twice as much must be free before recording goes on."""
        self.refused = 0  # frames for which it was shut
        self._folder, self._spare_bytes, self._say, self._now = folder, spare_bytes, say, now
        self._looked_at = float("-inf")
        self._shut = False
        self._refused_before = 0

    def open(self) -> bool:
        """Whether a frame may be written now; makes room for it where that is allowed."""
        if self._is_open():
            return True
        self.refused += 1
        return False

    def shut(self, why: str) -> None:
        """Something cannot be written. Said once, until it goes on."""
        self._looked_at = self._now()
        if not self._shut:
            self._shut, self._refused_before = True, self.refused
            self._say(f"Recording into {self._folder.path} pauses: {why}. Everything else goes on.")

    def _is_open(self) -> bool:
        try:
            full = shutil.disk_usage(self._folder.path).free < self._spare_bytes
            if self._now() - self._looked_at < LOOK_S and (self._shut or not full):
                return not self._shut
            self._looked_at = self._now()
            room = self._folder.make_room(self._spare_bytes * (2 if self._shut else 1))
        except OSError as error:
            self.shut(error.strerror or str(error))
            return False
        if not room:
            self.shut("the disk is full, and there is no older segment to delete")
        elif self._shut:
            self._shut = False
            missed = self.refused - self._refused_before
            self._say(f"Recording into {self._folder.path} goes on; {missed} frames were not recorded.")
        return room
