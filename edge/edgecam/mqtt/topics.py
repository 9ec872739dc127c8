"""Where things are published. Every name is made safe here and nowhere else."""

from typing import NamedTuple

from edgecam.naming import topic_level


class Topics(NamedTuple):
    """All topics below one prefix."""

    prefix: str

    @property
    def available(self) -> str:
        """`online` or `offline`, retained; the broker says `offline` for us if we die."""
        return f"{self.prefix}/available"

    @property
    def events(self) -> str:
        """Start, updates and end of every event."""
        return f"{self.prefix}/events"

    @property
    def alarms(self) -> str:
        """Rate alarms as they begin and end."""
        return f"{self.prefix}/alarms"

    @property
    def lost(self) -> str:
        """How many messages the outbox threw away since the start, by kind, retained."""
        return f"{self.prefix}/lost"

    def state(self, camera: str) -> str:
        """How a camera is, retained."""
        return self._of(camera, "state")

    def result(self, camera: str) -> str:
        """The newest answer, about once a second."""
        return self._of(camera, "result")

    def alarm(self, camera: str) -> str:
        """`ON` while a rate alarm of this camera is firing, else `OFF`, retained."""
        return self._of(camera, "alarm")

    def snapshot(self, camera: str, label: str | None = None) -> str:
        """JPEG of the best frame of the event that ended last, of one label or of all, retained."""
        return self._of(camera, "snapshot" if label is None else f"{topic_level(label, 'label')}/snapshot")

    def _of(self, camera: str, what: str) -> str:
        return f"{self.prefix}/{topic_level(camera)}/{what}"
