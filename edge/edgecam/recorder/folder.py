"""The folder that segments are kept in: whose it is, what it holds, what must go.

Only regular files under names of our own are counted or deleted; never a link, never what somebody else put
there.
"""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from edgecam.recorder.boxes import content_of
from edgecam.recorder.names import SegmentName, parse, segment_name
from edgecam.recorder.quota import surplus
from edgecam_engines.errors import OutputError

LOCK: Final = ".edgecam-recording.lock"


class Kept(NamedTuple):
    """A complete segment."""

    number: int
    name: str
    size: int  # bytes


class Folder:
    """One process at a time records into a folder. Raises OutputError if it cannot be had."""

    def __init__(self, path: Path, *, quota_bytes: int, say: Callable[[str], None]) -> None:
        self.path, self._quota_bytes, self._say = path, quota_bytes, say
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise OutputError(
                f"{path} cannot be recorded into: {error.strerror or error}.\nName a folder: --record FOLDER"
            ) from error
        try:
            # Not flock: a child process would inherit it and hold it after we are gone.
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._recover()
        except BlockingIOError as error:
            os.close(self._lock)
            raise OutputError(
                f"Another edgecam records into {path}.\nName another folder: --record {path}-2"
            ) from error
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Let others have it."""
        os.close(self._lock)

    def new_name(self, camera: str, at: float) -> SegmentName:
        """Of a segment that begins at `at`. Raises OSError."""
        numbers = [name.number for name in map(parse, os.listdir(self.path)) if name is not None]  # noqa: PTH208
        return segment_name(camera, at, max(numbers, default=0) + 1)

    def complete(self) -> list[Kept]:
        """Segments that are complete, oldest first. Raises OSError."""
        return sorted(kept for kept, done in self._ours() if done)

    def names(self) -> set[str]:
        """Final names of all segments, also of those that are being written. Raises OSError."""
        parsed = (parse(kept.name) for kept, _ in self._ours())
        return {name.final for name in parsed if name is not None}

    def finish(self, name: SegmentName) -> int:
        """Give a part that nobody writes any more its final name; frames in it. With none it is deleted."""
        part = self.path / name.part
        content = content_of(part)
        if not content.frames:
            part.unlink()
            return 0
        with part.open("r+b") as file:
            file.truncate(content.length)  # a torn fragment at the end confuses players
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.rename(self.path / name.final)
        return content.frames

    def make_room(self, spare_bytes: int) -> bool:
        """Keep to the quota, and to free space on the disk; False if that cannot be had. Raises OSError."""
        ours = list(self._ours())
        complete = sorted(kept for kept, done in ours if done)
        being_written = sum(kept.size for kept, done in ours if not done)
        for kept in complete[: surplus([k.size for k in complete], self._quota_bytes - being_written)]:
            (self.path / kept.name).unlink(missing_ok=True)
            complete.remove(kept)
        while (free := shutil.disk_usage(self.path).free) < spare_bytes and complete:
            (self.path / complete.pop(0).name).unlink(missing_ok=True)
        return free >= spare_bytes

    def _ours(self) -> list[tuple[Kept, bool]]:
        found = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                name = parse(entry.name)
                if name is not None and entry.is_file(follow_symlinks=False):
                    size = entry.stat(follow_symlinks=False).st_size
                    found.append((Kept(name.number, entry.name, size), name.done))
        return found

    def _recover(self) -> None:
        """What an earlier run left open, because it was killed."""
        for kept, done in self._ours():
            name = parse(kept.name)
            if done or name is None:
                continue
            try:
                frames = self.finish(name)
            except OSError as error:
                self._say(f"{self.path / kept.name} was left open and stays so: {error.strerror or error}.")
                continue
            if frames:
                self._say(
                    f"{self.path / name.final} was left open by an earlier run; {frames} frames are kept."
                )
            else:
                self._say(
                    f"{self.path / kept.name} was left open by an earlier run before its first fragment."
                )
