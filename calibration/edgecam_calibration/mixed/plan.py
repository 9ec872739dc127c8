"""Which layers stay in float, and the measurements that say so."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from edgecam_calibration.mixed.yardstick import Likeness, Target

COLUMNS: Final = ("Stays in float", "Share of MACs", "Error alone in INT8", "Error when it alone is spared")


@dataclass(frozen=True)
class Kept:
    """A block or layer that stays in float. Errors are relative, of the class maps against FP32's."""

    name: str
    nodes: list[str]  # of the ONNX graph
    macs_share: float
    alone: float  # with this in INT8 and the rest in float
    spared: float  # with this in float and the rest in INT8


@dataclass(frozen=True)
class Trial:
    """One set of layers in float, as measured."""

    kept: list[str]
    macs_share: float
    likeness: Likeness


@dataclass(frozen=True)
class Plan:
    """What one Q/DQ profile needs in float to keep the maps."""

    profile: str
    ships: bool  # whether a mixed model is worth writing
    reason: str  # one line
    kept: list[Kept]
    macs_share: float  # of what is kept, of all convolutions'
    int8_error: float  # of plain INT8, as in Kept
    target: Target
    photos_ranked: int  # by which layers were compared
    photos_checked: int  # by which sets of them were
    trials: list[Trial]  # in the order of measuring; the first is plain INT8

    @property
    def nodes(self) -> list[str]:
        return [node for kept in self.kept for node in kept.nodes]

    def document(self) -> dict[str, Any]:
        """For plan.json."""
        found = asdict(self)
        for trial, written in zip(self.trials, found["trials"], strict=True):
            written["likeness"] = trial.likeness._asdict()
        return found

    @classmethod
    def read(cls, document: dict[str, Any]) -> "Plan":
        """What `document` gave. Raises TypeError or KeyError for anything else."""
        kept = [Kept(**entry) for entry in document["kept"]]
        trials = [
            Trial(**{**entry, "likeness": Likeness(**entry["likeness"])}) for entry in document["trials"]
        ]
        target = Target(**document["target"])
        return cls(**{**document, "kept": kept, "trials": trials, "target": target})

    def lines(self) -> list[str]:
        """For people: the verdict, then each layer that stays in float and why."""
        return [f"{self.profile}: {self.reason}"] + [
            f"  {k.name:<32} {k.macs_share:>5.1%} of the MACs, error alone {k.alone:.3f}, "
            f"spared alone {k.spared:.3f} (all in INT8: {self.int8_error:.3f})"
            for k in self.kept
        ]

    def rows(self) -> list[list[str]]:
        """For a table under COLUMNS."""
        return [[k.name, f"{k.macs_share:.1%}", f"{k.alone:.3f}", f"{k.spared:.3f}"] for k in self.kept]
