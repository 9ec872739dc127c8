"""How many weights a training with L1 has driven to nothing, stage by stage."""

from typing import Final, NamedTuple

from edgecam_training.model import Model
from edgecam_training.penalties import MULTIPLYING

SMALL: Final = 1e-3  # gradient steps seldom end at exactly zero; weights start at some hundredths


class StageSparsity(NamedTuple):
    """One stage of the network; only weights that L1 acts on are counted."""

    name: str
    weights: int
    small: int  # of them below the magnitude asked about

    @property
    def share(self) -> float:
        return self.small / self.weights


def sparsity(model: Model, *, below: float = SMALL) -> list[StageSparsity]:
    """The backbone's stages in order, the feature head, the class head, and all of them together.

    Stages without weights are left out. Counts weights w with |w| < below.
    """
    parts = [(f"backbone stage {i}", stage) for i, stage in enumerate(model.backbone.body)]
    parts += [("feature head", model.head), ("class head", model.classify)]
    stages = []
    for name, part in parts:
        weights = [m.weight.detach() for m in part.modules() if isinstance(m, MULTIPLYING)]
        small = sum(int((w.abs() < below).sum()) for w in weights)
        stages.append(StageSparsity(name, sum(w.numel() for w in weights), small))
    stages = [stage for stage in stages if stage.weights]
    total = StageSparsity("all", sum(s.weights for s in stages), sum(s.small for s in stages))
    return [*stages, total]
