"""Records the frames of all cameras into one folder. Runs in one thread, and never raises for a bad disk."""

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import cv2

from edgecam.naming import slug
from edgecam.recorder.around import Around
from edgecam.recorder.clock import MediaClock
from edgecam.recorder.encoder import EncoderFailed, OpenCVEncoder, OpenEncoder
from edgecam.recorder.folder import Folder
from edgecam.recorder.gate import Gate
from edgecam.recorder.index import EventIndex
from edgecam.recorder.moment import Moment
from edgecam.recorder.preroll import LIMIT_BYTES, PreRoll, hold
from edgecam.recorder.track import NEAR_S, Track
from edgecam_engines.engine import Frame

POST_ROLL_S: Final = 5.0  # recorded after the last frame of an event
DECIDING_S: Final = 5.0  # an event is told some frames after it began; the pre-roll reaches back beyond that
SPARE_BYTES: Final = 16 << 20  # kept free on the disk
PARTS_OF_QUOTA: Final = 4  # a segment is at most this part of the quota, so that not all goes at once
NOTES: Final = 1000  # of events that wait for their frames at most
PUMP: Final = 2  # frames of a pre-roll that are written for each new frame


class Plan(NamedTuple):
    """What is recorded."""

    fps: float  # at most, for a live camera; exactly, for a file or folder
    live: bool
    segment_s: float
    quota_bytes: int
    events_only: bool = False
    pre_roll_s: float = 5.0
    post_roll_s: float = POST_ROLL_S
    spare_bytes: int = SPARE_BYTES


class _Camera:
    """What belongs to one camera."""

    def __init__(self, track: Track, clock: MediaClock, plan: Plan) -> None:
        self.track, self.clock = track, clock
        self.around = Around(plan.pre_roll_s, plan.post_roll_s)
        self.pre_roll = PreRoll(plan.pre_roll_s + DECIDING_S)
        self.warned = False  # that its pre-roll is short
        self.wanted = not plan.events_only  # whether the newest frame was
        self.notes: deque[tuple[Moment, float]] = deque(maxlen=NOTES)  # whose frames are still to be written


class Recorder:
    """Frames and moments in the order in which they happened, then `close`."""

    def __init__(
        self,
        path: Path,
        plan: Plan,
        open_encoder: OpenEncoder,
        say: Callable[[str], None],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises OutputError if the folder cannot be had."""
        self._plan, self._open_encoder, self._say = plan, open_encoder, say
        self._folder = Folder(path, quota_bytes=plan.quota_bytes, say=say)
        self._gate = Gate(self._folder, spare_bytes=plan.spare_bytes, say=say, now=now)
        self._index = EventIndex(path)
        self._cameras: dict[str, _Camera] = {}
        self._failed = 0

    @property
    def lost(self) -> int:
        """Frames that should have been recorded and were not."""
        cameras = list(self._cameras.values())  # the other thread may add one
        return self._gate.refused + self._failed + sum(c.track.lost + c.pre_roll.lost for c in cameras)

    def frame(self, frame: Frame, name: str, captured_at: float) -> None:
        """Record a frame, hold it, or let it go."""
        camera = self._camera(name)
        at_s = camera.clock.tick(captured_at)
        if self._plan.events_only:
            self._around_events(camera, frame, captured_at, at_s)
        else:
            self._store(camera, frame, captured_at, at_s)
        self._note(camera)

    def _around_events(self, camera: _Camera, frame: Frame, captured_at: float, at_s: float) -> None:
        camera.wanted = camera.around.wants(at_s)
        if camera.wanted and not camera.pre_roll:
            self._store(camera, frame, captured_at, at_s)
        else:
            camera.pre_roll.add(hold(frame, at_s, captured_at, camera.wanted))
        self._pump(camera, PUMP)

    def moment(self, moment: Moment) -> None:
        """Note where it is recorded; with `events_only` what lies around it is what is recorded."""
        camera = self._camera(moment.camera)
        at_s = camera.clock.of(moment.at)
        if moment.starts:
            self._warn(moment.camera, camera)
            camera.pre_roll.want_from(camera.around.start(moment.id, at_s))
        else:
            camera.around.end(moment.id, at_s)
        camera.notes.append((moment, at_s))
        self._note(camera)

    def rest(self) -> bool:
        """Something useful while there is nothing to do; False if there is nothing left."""
        waiting = [camera for camera in self._cameras.values() if camera.pre_roll]
        for camera in waiting:
            self._pump(camera, 1)
            self._note(camera)
        return bool(waiting)

    def end_segment(self, name: str) -> None:
        """The camera is away: what there is becomes a complete segment."""
        camera = self._cameras.get(name)
        if camera is not None:
            self._finish(camera)

    def close(self) -> None:
        """Write what waits and complete every segment."""
        while self.rest():
            pass
        for camera in self._cameras.values():
            self._finish(camera)
            self._note(camera, at_once=True)
        self._folder.close()

    def _camera(self, name: str) -> _Camera:
        if name not in self._cameras:
            plan = self._plan
            clock = MediaClock(live=plan.live, fps=plan.fps)
            track = Track(
                slug(name),
                self._folder,
                clock,
                fps=plan.fps,
                live=plan.live,
                segment_s=plan.segment_s,
                segment_bytes=plan.quota_bytes // PARTS_OF_QUOTA,
            )
            self._cameras[name] = _Camera(track, clock, plan)
        return self._cameras[name]

    def _warn(self, name: str, camera: _Camera) -> None:
        if camera.pre_roll.shortened and not camera.warned:
            camera.warned = True
            self._say(
                f"The frames of {name or 'the camera'} are so large that {LIMIT_BYTES >> 20} MB do not hold "
                f"{self._plan.pre_roll_s:g} s before an event; the pre-roll is shorter."
            )

    def _pump(self, camera: _Camera, frames: int) -> None:
        """Write some of what waits; where an event's frames end, so does the segment."""
        for _ in range(frames):
            held = camera.pre_roll.next()
            if held is None:
                break
            if held.after_gap:
                self._finish(camera)
            self._store(camera, held.frame(), held.captured_at, held.at_s)
        if self._plan.events_only and not camera.wanted and not camera.pre_roll:
            self._finish(camera)

    def _store(self, camera: _Camera, frame: Frame, captured_at: float, at_s: float) -> None:
        if not self._gate.open():
            self._finish(camera)
            return
        try:
            self._encode(camera, frame, captured_at, at_s)
        except (OSError, cv2.error) as error:
            self._failed += 1
            camera.track.abandon()
            self._gate.shut(_words(error))

    def _encode(self, camera: _Camera, frame: Frame, captured_at: float, at_s: float) -> None:
        try:
            camera.track.write(frame, captured_at, at_s, self._open_encoder)
        except EncoderFailed as error:
            if self._open_encoder is OpenCVEncoder:
                raise
            self._open_encoder = OpenCVEncoder
            self._say(f"The recording goes on with OpenCV's encoder: {error}.")
            camera.track.abandon()
            camera.track.write(frame, captured_at, at_s, self._open_encoder)

    def _finish(self, camera: _Camera) -> None:
        try:
            camera.track.finish()
        except (OSError, cv2.error) as error:
            self._gate.shut(_words(error))

    def _note(self, camera: _Camera, *, at_once: bool = False) -> None:
        """Tell the index of every event whose frames are written by now, or will not be."""
        known_s = camera.track.written_until()
        if not camera.pre_roll:
            known_s = max(known_s, camera.clock.newest() - NEAR_S)
        while camera.notes and (at_once or camera.notes[0][1] <= known_s):
            moment, at_s = camera.notes.popleft()
            place = camera.track.place(at_s)
            document = {
                "id": moment.id,
                "phase": "start" if moment.starts else "end",
                "camera": moment.camera,
                "label": moment.label,
                "at": moment.at,
                "file": None if place is None else place.file,
                "offset_s": None if place is None else round(place.offset_s, 3),
            }
            self._index.add(document, self._folder.names)


def _words(error: OSError | cv2.error) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
