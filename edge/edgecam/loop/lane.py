"""One camera in the loop: which of its frames are looked at, and what was counted."""

from edgecam.loop.gate import Gate
from edgecam.loop.motion import Motion
from edgecam.loop.region import Region
from edgecam.recognise import Look
from edgecam.sources.newest import Ended
from edgecam.sources.reader import Reader
from edgecam.status import CameraStatus


class Lane:
    """`next_look` belongs to the engine's thread, `processed` to the main one; all may be read anywhere."""

    def __init__(
        self,
        name: str,
        reader: Reader,
        gate: Gate | None = None,
        region: Region | None = None,
        motion: Motion | None = None,
    ) -> None:
        self.name, self.reader = name, reader
        self.gate, self.region, self.motion = gate or Gate(), region, motion
        self.processed = 0  # frames whose result reached the main thread
        self.still = 0  # frames that were passed over since nothing had moved
        self.ended = False
        self.served = -float("inf")  # when the engine last looked at this camera
        self._looked = 0  # frames given to the engine
        self._passed_over = 0  # frames taken, and not given to the engine

    def next_look(self, now: float) -> Look | None:
        """The newest frame, if it is due; None if there is none. Raises SourceError."""
        if self.ended or self.gate.wait(now) > 0:
            return None
        try:
            shot = self.reader.take(0.0)
        except Ended:
            self.ended = True
            return None
        if shot is None:
            return None
        box = self.region and self.region.within((shot.frame.shape[0], shot.frame.shape[1]))
        look = Look(shot._replace(skipped=shot.number - self._looked), box, self.name)
        if not self.gate.wants(shot.number):
            self._passed_over += 1
            return None
        if self.motion is not None and not self.motion.counts(look.view(), now):
            self._passed_over, self.still = self._passed_over + 1, self.still + 1
            return None
        self.gate.took(shot.number, now)
        self._looked, self.served = self._looked + 1, now
        return look

    def close(self) -> None:
        """Give the camera back. What was in hand will not be answered any more: it was skipped."""
        self.reader.stop()
        status = self.status()
        self._passed_over += status.captured - status.processed - status.skipped

    def status(self) -> CameraStatus:
        """How the camera is now, with every count. From the main thread."""
        passed_over, still = self._passed_over, self.still  # before what was captured: never too many
        health = self.reader.health()
        return CameraStatus(
            camera=self.name,
            state=health.state,
            since=health.since,
            detail=health.detail,
            captured=health.captured,
            processed=self.processed,
            skipped=health.skipped + passed_over,
            lost=health.lost,
            captured_at=health.captured_at,
            still=still,
            counts_all=health.counts_all,
        )

    def changes(self) -> list[CameraStatus]:
        """Every change of state since this was last asked, oldest first, with the counts of now."""
        return [
            self.status()._replace(state=then.state, since=then.since, detail=then.detail, lost=then.lost)
            for then in self.reader.changes()
        ]
