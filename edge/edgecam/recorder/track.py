"""One camera's row of segments."""

from collections import deque
from contextlib import suppress
from typing import Final, NamedTuple

from edgecam.recorder.clock import REMEMBERED, MediaClock
from edgecam.recorder.encoder import Encoder, OpenEncoder
from edgecam.recorder.folder import Folder
from edgecam.recorder.names import SegmentName
from edgecam_engines.engine import Frame

LOWEST_FPS: Final = 12.0  # of a live recording, so that a fragment is never longer than a second
AHEAD_S: Final = 1.0  # a segment that plays so much longer than it took is ended: its rate was too low


NEAR_S: Final = 2.0  # a frame within this time of a moment shows where it is


class Place(NamedTuple):
    """Where a moment is recorded."""

    file: str  # name of the complete segment
    offset_s: float


class _Segment:
    def __init__(
        self, name: SegmentName, encoder: Encoder, fps: float, began_s: float, hw: tuple[int, int]
    ) -> None:
        self.name, self.encoder, self.fps, self.began_s, self.hw = name, encoder, fps, began_s, hw
        self.frames = 0

    @property
    def plays_s(self) -> float:
        return self.frames / self.fps


class Track:
    """Frames go into the open segment; a new one begins when it is long or large enough."""

    def __init__(
        self,
        camera: str,
        folder: Folder,
        clock: MediaClock,
        *,
        fps: float,
        live: bool,
        segment_s: float,
        segment_bytes: int,
    ) -> None:
        """`fps` is the most that a segment has; `segment_bytes` ends one early."""
        self.lost = 0  # frames that were encoded and are in no file
        self._camera, self._folder, self._clock = camera, folder, clock
        self._fps, self._live = fps, live
        self._segment_s, self._segment_bytes = segment_s, segment_bytes
        self._segment: _Segment | None = None
        self._places: deque[tuple[float, Place]] = deque(maxlen=REMEMBERED)  # by time of the clock

    def write(self, frame: Frame, captured_at: float, at_s: float, open_encoder: OpenEncoder) -> None:
        """Add a frame of the clock's time `at_s`. Raises OSError; call `abandon` then."""
        if self._segment is not None and self._over(self._segment, frame, at_s):
            self.finish()
        if self._segment is None:
            self._segment = self._open(frame, captured_at, at_s, open_encoder)
        segment = self._segment
        self._places.append((at_s, Place(segment.name.final, segment.plays_s)))
        for _ in range(self._repeats(segment, at_s)):
            segment.encoder.write(frame)
            segment.frames += 1

    def written_until(self) -> float:
        """The time of the newest frame that was written."""
        return self._places[-1][0] if self._places else float("-inf")

    def place(self, at_s: float) -> Place | None:
        """Where the frame nearest to that time is; None if nothing near it was written."""
        if not self._places:
            return None
        near_s, place = min(self._places, key=lambda known: abs(known[0] - at_s))
        return place if abs(near_s - at_s) <= NEAR_S else None

    def finish(self) -> None:
        """Make the open segment a complete one. Raises OSError."""
        segment, self._segment = self._segment, None
        if segment is None:
            return
        kept = 0
        try:
            try:
                segment.encoder.close()
            finally:
                kept = self._folder.finish(segment.name)
        finally:
            self.lost += max(0, segment.frames - kept)

    def abandon(self) -> None:
        """Keep of the open segment what can be kept, after an error."""
        with suppress(OSError):
            self.finish()

    def _open(self, frame: Frame, captured_at: float, at_s: float, open_encoder: OpenEncoder) -> _Segment:
        fps = self._fps
        if self._live:
            # Near the rate that frames come at, so that few of them must be written twice.
            fps = max(LOWEST_FPS, min(fps, self._clock.rate() or fps))
        hw = frame.shape[0], frame.shape[1]
        name = self._folder.new_name(self._camera, captured_at)
        return _Segment(name, open_encoder(self._folder.path / name.part, fps, hw), fps, at_s, hw)

    def _over(self, segment: _Segment, frame: Frame, at_s: float) -> bool:
        if segment.plays_s >= self._segment_s:
            return True
        if self._live:
            changed = frame.shape[:2] != segment.hw
            too_slow = segment.plays_s > at_s - segment.began_s + AHEAD_S
            if changed or too_slow:
                return True
        return (self._folder.path / segment.name.part).stat().st_size >= self._segment_bytes

    def _repeats(self, segment: _Segment, at_s: float) -> int:
        """How often a frame is written: at least once, and so that a live recording plays in real time."""
        if not self._live:
            return 1
        return max(1, round((at_s - segment.began_s) * segment.fps) + 1 - segment.frames)
