"""What a run came to."""

from pathlib import Path
from typing import NamedTuple


class Summary(NamedTuple):
    """Counts of a whole run, over all cameras."""

    frames: int  # results
    skipped: int  # frames that a source gave before its last result, and nobody looked at
    seconds: float  # from the first result to the last
    lost: int  # how often a camera went away
    recorded: Path | None
    skip_check: bool = False  # the engine was not asked to answer the bundle's golden photos first

    @property
    def fps(self) -> float:
        """Results per second; 0 for fewer than two."""
        return (self.frames - 1) / self.seconds if self.frames > 1 and self.seconds > 0 else 0.0

    def in_words(self) -> str:
        """One sentence for people."""
        words = f"{self.frames} frames"
        if self.fps:
            words += f" in {self.seconds:.1f} s ({self.fps:.1f} frames/s)"
        words += f", {self.skipped} skipped"
        if self.lost:
            words += f", the camera was lost {self.lost} times"
        if self.skip_check:
            words += ", by an engine that was not checked here (--skip-check)"
        return words + (f". Recorded: {self.recorded}" if self.recorded else ".")
