"""Shots of a thing before a camera, each one looked at before it is taken."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final

from edgecam.quality import judge
from edgecam.sources import open_source
from edgecam_engines.console import log
from edgecam_engines.engine import Frame
from edgecam_engines.errors import SourceError

PAUSE_S: Final = 0.4  # between two shots: time to turn the thing
PATIENCE_S: Final = 60.0  # without a frame that is worth taking


def shots_of(
    camera: str,
    label: str,
    shots: int,
    *,
    say: Callable[[str], None] = lambda words: log.print(words, markup=False),
    now: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[Frame, str, str]]:
    """Frame, class and camera's name, `shots` times; frames that are not worth it are told and passed over.

    A file or a folder gives all it has. Raises SourceError when a camera shows nothing worth taking for a
    minute, or ends.
    """
    with closing(open_source(camera, say)) as source:
        last: Frame | None = None
        taken, waiting, told, seen = 0, now(), "", 0
        while taken < shots and source.grab():
            seen += 1
            if source.live and last is not None and now() - waiting < PAUSE_S:
                continue
            frame = source.retrieve()
            quality = judge(frame, last)
            if quality.complaints:
                if quality.complaints[0] != told:
                    told = quality.complaints[0]
                    say(f"Not taken: {told}")
                if now() - waiting > PATIENCE_S:
                    raise SourceError(
                        f"{source.name} showed nothing worth teaching for {PATIENCE_S:.0f} s: {told}.\n"
                        f"{taken} of {shots} shots of {label!r} were kept; teach the rest when it is mended."
                    )
                continue
            taken, told, last, waiting = taken + 1, "", frame.copy(), now()
            say(f"{taken} of {shots}: sharpness {quality.sharpness:.0f}, light {quality.level:.0f}")
            yield frame, label, source.name
    if not taken:
        raise SourceError(
            f"{camera} ended after {seen} frames, none of them worth teaching: {told or 'there was none'}.\n"
            f"Give --camera another one, or a folder of photos to `edgecam teach BUNDLE PHOTOS`."
        )
    if taken < shots:
        say(f"{camera} ended after {taken} of {shots} shots.")
