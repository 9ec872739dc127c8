"""What answers are made by: the part of a run that can be changed while it goes on."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from edgecam.decisions.event import Alarm, Event
from edgecam.result import Result
from edgecam.settings import RunSettings
from edgecam_engines.engine import Frame
from edgecam_engines.head import Head


class Decided(Protocol):
    """What a frame's answer came to."""

    @property
    def result(self) -> Result: ...  # as it is shown
    @property
    def events(self) -> list[Event]: ...
    @property
    def alarms(self) -> list[Alarm]: ...


class Decides(Protocol):
    """Makes decisions for one camera and one class head. Called from the main thread, frames in order."""

    lowest: float  # below this confidence no class is ever named

    def decide(self, frame: Frame, result: Result, /) -> Decided:
        """One answered frame, nothing drawn on it yet."""
        ...

    def lost(self) -> list[Event]:
        """The camera went away or stalled."""
        ...

    def close(self) -> list[Event]:
        """No frame will come any more."""
        ...


class Rules(NamedTuple):
    """One set of them. A frame sees one set from the engine to the outputs, never parts of two."""

    settings: RunSettings
    head: Head
    deciders: Mapping[str, Decides]  # by camera; results of one that is not here pass as they are

    @property
    def lowest(self) -> float:
        """Confidence below which nothing is named, so that no map is needed."""
        return min((each.lowest for each in self.deciders.values()), default=self.settings.threshold)


class Holder:
    """The rules in force. Set by one thread and read by others, whole."""

    def __init__(self, rules: Rules) -> None:
        self.now = rules
