"""Whether the engine still says the same while it is timed: every answer is held against one given in peace.

MLPerf's TEST01 in small: an engine that skips work, or goes wrong when it is warm, is no faster for it. What
the engine says in peace was checked on the bundle's own photos when it was opened; here the two are joined.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

TOLERANCE: Final = 0.02  # of a confidence: another batch size may take kernels that round otherwise


class Said(NamedTuple):
    """One answer about one of the frames."""

    frame: int
    label: str
    confidence: float


class Accuracy(NamedTuple):
    """Answers given while the clock ran, against those given before."""

    answers: int
    frames: int  # different ones among them
    other_label: int
    worst: float  # largest difference of a confidence

    @property
    def same(self) -> bool:
        return self.other_label == 0 and self.worst <= TOLERANCE

    def reason(self) -> str | None:
        """Why the run is invalid; None when it is not."""
        if self.same:
            return None
        return (
            f"wrong answers: {self.other_label} of {self.answers} timed answers had another label than in "
            f"peace, confidences moved by up to {self.worst:.3f}"
        )

    def document(self) -> dict[str, Any]:
        return {
            "answers": self.answers,
            "frames": self.frames,
            "other_label": self.other_label,
            "worst_confidence_difference": round(self.worst, 5),
        }


def check(reference: Mapping[int, Said], timed: Sequence[Said]) -> Accuracy:
    """Every timed answer against the reference of its frame."""
    pairs = [(said, reference[said.frame]) for said in timed]
    return Accuracy(
        len(pairs),
        len({said.frame for said in timed}),
        sum(said.label != before.label for said, before in pairs),
        max((abs(said.confidence - before.confidence) for said, before in pairs), default=0.0),
    )
