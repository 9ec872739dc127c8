"""The network as both kinds of INT8 hardware compute it, with the trainer's own parameters underneath."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from edgecam_calibration.quantize import Profile
from edgecam_training.model import Model
from edgecam_training.qat.fakequant import fake_bias, fake_weight, room_for_bias, weight_scale
from edgecam_training.qat.fold import folded
from edgecam_training.qat.graph import Graph, Round, Step, run_graph
from edgecam_training.qat.ranges import Ranges


class Written(NamedTuple):
    """One INT8 form of a graph, as the quantizer wrote it."""

    profile: Profile
    graph: Graph


class Student(nn.Module):
    """A Model whose features can be had as each profile rounds them; `kinds` names the profiles."""

    def __init__(self, model: Model, written: list[Written], *, ranges: str) -> None:
        super().__init__()
        self.model = model
        self._written = {w.profile.name: w for w in written}
        self.kinds = tuple(self._written)
        self.ranges = nn.ModuleList(_ranges(w, ranges) for w in written)
        model.classify.requires_grad_(False)  # shared with the float network

    def forward(self, frames: Tensor, kind: str) -> Tensor:
        """uint8 (n, h, w, 3) -> features (n, d, gh, gw) of that profile."""
        return self.tensors(frames, kind)[self._written[kind].graph.features]

    def tensors(self, frames: Tensor, kind: str, *, rounds: Round | None = None) -> dict[str, Tensor]:
        """Every tensor of that profile's graph, by its name in the file; `rounds` in place of its ranges."""
        profile, graph = self._written[kind]
        ranges = self.ranges_of(kind)
        given = folded(self.model)

        def parameters(step: Step, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
            names, rounded = step.inputs, graph.rounded[step.name]
            weight, bias = values[names[1]], values[names[2]] if len(names) > 2 else None
            if not rounded.weight:
                return weight, bias
            scale = weight_scale(weight, 64 if profile.reduce_range else 127)
            if bias is not None and rounded.bias:
                incoming = ranges.grid(graph.sources[names[0]])[0].detach()
                scale = room_for_bias(scale, bias, incoming)
                bias = fake_bias(bias, scale * incoming)
            return fake_weight(weight, scale), bias

        return run_graph(graph, frames, given, rounds or ranges, parameters)

    def ranges_of(self, kind: str) -> Ranges:
        """The ranges of one profile."""
        found = self.ranges[self.kinds.index(kind)]
        assert isinstance(found, Ranges)
        return found


def _ranges(written: Written, how: str) -> Ranges:
    profile, graph = written
    centred = [s.output for s in graph.steps if s.op == "Sub" and s.output in graph.grids]
    pinned = next((name for name in centred if graph.grids[name].scale == 1), None)
    return Ranges(graph.grids, signed=profile.signed, pinned=pinned, how=how)
