"""Outputs that are told of more than single results: events, alarms, and how the cameras are."""

from typing import Protocol, runtime_checkable

from edgecam.decisions.event import Alarm, Event
from edgecam.status import CameraStatus


@runtime_checkable
class Listener(Protocol):
    """Told from the main thread, in order. Must return at once: what is slow goes through a bounded queue.

    A sink may be a listener too; `live` asks with isinstance against this protocol.
    """

    def event(self, event: Event, /) -> None:
        """An event began, went on, or ended."""
        ...

    def alarm(self, alarm: Alarm, /) -> None:
        """A rate alarm began or is over."""
        ...

    def status(self, status: CameraStatus, /) -> None:
        """A camera's state; told at each change and about once a second."""
        ...
