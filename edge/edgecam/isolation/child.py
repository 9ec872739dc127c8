"""The reader process: opens one source, keeps trying until it is there, and hands its frames over.

It ends when the source is lost or over, or when nobody listens any more. What it imports is what it costs
each time that a camera comes back, so it is little.
"""

import ctypes
import os
import random
import signal
import socket
import sys
import time
import traceback
from contextlib import closing, suppress
from importlib import import_module
from typing import Any, Final

from edgecam import memory
from edgecam.isolation.backlog import Backlog
from edgecam.isolation.channel import Beat, Channel, Closed, Told, told
from edgecam.isolation.mailbox import Outbox
from edgecam.isolation.pauses import pauses
from edgecam.isolation.writer import Writer
from edgecam.sources.playback import Playback
from edgecam.sources.source import Counting, IntoMemory, Source, counts_all
from edgecam.threads import one_opencv_thread
from edgecam_engines.errors import SourceError

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
# A library that leaks with each failed attempt is not kept for a month.
ATTEMPTS: Final = 200
BEAT_S: Final = 0.2  # our parent learns so often that frames come, whether it takes them or not


def main() -> None:
    """Arguments: our parent's process, and three sockets: to talk, to give frames, to take them back."""
    parent, *numbers = map(int, sys.argv[1:])
    _die_with(parent)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Meant for the loop, which ends us. Not SIG_IGN, which programs that a source starts would inherit.
        signal.signal(number, _not_for_us)
    memory.share()
    talk, give, take = (socket.socket(fileno=number) for number in numbers)
    channel = Channel(talk)
    with suppress(Closed), one_opencv_thread():
        try:
            _read(channel, Outbox(give, take), _asked(channel).about)
        except Closed:
            raise
        except Exception:
            channel.send(told("broken", traceback.format_exc()[-3000:]))


def _die_with(parent: int) -> None:
    """Have the kernel kill us when our parent ends, and be called what we are in lists of processes."""
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    prctl(_PR_SET_NAME, b"edgecam-reader", 0, 0, 0)
    if os.getppid() != parent:
        sys.exit()


def _not_for_us(number: int, frame: Any) -> None:
    pass


def _asked(channel: Channel) -> Told:
    while not isinstance(message := channel.receive(60.0), Told):
        pass
    return message


def _read(channel: Channel, outbox: Outbox, about: dict[str, Any]) -> None:
    source = _opened(channel, about)
    if source is None:
        return
    with closing(source), closing(Writer(channel, outbox)) as writer:
        channel.send(told("opened", name=source.name, fps=source.fps, counts_all=counts_all(source)))
        _hand_over(channel, source, writer)


def _opened(channel: Channel, about: dict[str, Any]) -> Source | None:
    """The source, once it is there; None after ATTEMPTS. Each failure is told."""
    module, _, name = about["opener"].partition(":")
    opener = getattr(import_module(module), name)
    waits = pauses(random.Random())
    for _ in range(ATTEMPTS):
        channel.send(told("opening"))  # from here on its time runs, not from the start of Python
        try:
            source: Source = opener(about["uri"], lambda words: channel.send(told("say", words)))
            return Playback(source, realtime=True) if about["realtime"] and not source.live else source
        except SourceError as error:
            channel.send(told("failed", str(error)))
        channel.receive(next(waits))  # nothing is said to us in the meantime, but our parent may leave
    return None


def _hand_over(channel: Channel, source: Source, writer: Writer) -> None:
    """Every frame until the source is over or lost. Raises Closed when nobody listens any more."""
    backlog = Backlog()
    counting = source if isinstance(source, Counting) else None
    grabbed, frames, told_at = 0, 0, -BEAT_S  # frames: all that came, grabbed or not
    try:
        asked = time.monotonic()
        while source.grab():
            got = time.monotonic()
            number = grabbed + (0 if counting is None else counting.missed)
            grabbed, frames = grabbed + 1, number + 1
            stamp = source.stamp()
            room = writer.room() if isinstance(source, IntoMemory) else None
            frame = source.retrieve() if room is None else source.retrieve_into(room)  # type: ignore[attr-defined]
            captured = got if stamp is None else min(stamp, got)
            if stamp is not None or backlog.fresh(asked, got):
                writer.put(frame, number, captured)
                if got - told_at >= BEAT_S:
                    channel.send(Beat(frames, captured))
                    told_at = got
            else:
                writer.collect()
            asked = time.monotonic()
    except SourceError as error:
        channel.send(told("lost", str(error), frames=frames))
    else:
        channel.send(told("ended", frames=frames))


if __name__ == "__main__":
    main()
