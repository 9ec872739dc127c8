"""How a file or a folder is played: clip.mp4?loop=1&realtime=1."""

from collections.abc import Callable
from dataclasses import dataclass

from edgecam.sources.looped import Looped
from edgecam.sources.options import option, read_options, yes
from edgecam.sources.paced import Paced
from edgecam.sources.source import Source
from edgecam.sources.uri import Parts


@dataclass(frozen=True)
class PlaybackOptions:
    """Both at once make a file into a camera."""

    loop: bool = option(yes, False)  # begin again at the end
    realtime: bool = option(yes, False)  # at its own speed, skipping what is not taken in time


def play(parts: Parts, open_path: Callable[[str], Source]) -> Source:
    """Open a path and play it as asked. Raises SourceError."""
    asked = read_options(PlaybackOptions, parts.options, parts.where)

    def reopen() -> Source:
        return open_path(parts.where)

    source = Looped(reopen) if asked.loop else reopen()
    return Paced(source) if asked.realtime else source
