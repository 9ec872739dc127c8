"""The one seam between a camera of any kind and the loop."""

from typing import NamedTuple, Protocol, runtime_checkable

from edgecam_engines.engine import Frame


class Source(Protocol):
    """A camera, stream, file or folder that is open and has shown that it gives frames."""

    name: str  # for people; never holds a password
    live: bool  # a frame that is not taken in time is gone, and a lost source may come back
    fps: float  # frames per second, as announced; what a recording plays at

    def grab(self) -> bool:
        """Wait for the next frame; False at the end. Raises SourceError when a live source is lost.

        Apart from `retrieve`, so that the capture time is taken before the decoding, not after it.
        """
        ...

    def retrieve(self) -> Frame:
        """The frame that was grabbed: (height, width, 3), BGR, the caller's own."""
        ...

    def stamp(self) -> float | None:
        """Capture time of the grabbed frame on time.monotonic's clock; None where the driver tells none."""
        ...

    def close(self) -> None:
        """Give the device back. Safe to call twice."""
        ...


@runtime_checkable
class IntoMemory(Protocol):
    """What a source may do besides: put its frame where it is wanted, which saves copying it there."""

    def retrieve_into(self, room: Frame, /) -> Frame:
        """The frame that was grabbed: `room` itself where it has the frame's shape, else as `retrieve`."""
        ...


@runtime_checkable
class Counting(Protocol):
    """What a source may do besides: tell of frames that it received and did not give."""

    missed: int  # so many since it was opened: newer ones came before they were asked for, or damaged
    counts_all: bool  # whether nothing below it, a driver or GStreamer, lets frames go that nobody counts


def counts_all(source: Source) -> bool:
    """Whether every frame that was there is grabbed, or counted as missed."""
    return source.counts_all if isinstance(source, Counting) else not source.live


class Shot(NamedTuple):
    """A frame and when it was captured."""

    frame: Frame
    number: int  # counts every frame that the source gave, from 0
    captured: float  # seconds on the monotonic clock
    captured_at: float  # seconds since the epoch, UTC
    skipped: int = 0  # frames before this one that nobody looked at
