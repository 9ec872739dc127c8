"""Cross-layer equalization: every channel of a tensor fills the range that they share.

A tensor has one scale for all its channels, so a channel with small values gets few steps. Multiplying it
by s where it is made (a row of the weights, whose scale is its own, so this is free) and dividing by s where
it is read leaves the function as it was.

ReLU6 does not commute with a scale, so tensors that touch one are left alone. What is left are sums and what
enters them, where ranges are widest, and ReLU. A channel that was never seen near 6 could be scaled up under
an unchanged bound; that was tried, bought nothing (most channels do reach 6, so the range is used), and moved
FP32's own answers to photos that were not observed by 5 %.
Source: arXiv:1906.04721, section 4.1; there scales balance the weights of two layers, here what was observed
of the activations, since weights have a scale a channel.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.quantization.graph import Conv, constants, convolutions, replace_constants
from edgecam_calibration.quantization.histogram import ChannelHistograms

LARGEST: Final = 8.0  # scale: a channel that was hardly ever seen alive says little about its range
Scales = dict[str, NDArray[np.float64]]  # tensor -> (c,)


class Shared(NamedTuple):
    """Tensors that must be scaled alike: a sum's terms, and what a rectifier reads and writes."""

    tensors: list[str]
    made_by: list[Conv]
    read_by: list[Conv]
    rectified: list[str]  # those of the tensors that a ReLU wrote


def equalize(model: Any, seen: Mapping[str, ChannelHistograms]) -> Scales:
    """Scale channels in place. Returns what each tensor's channels were multiplied by."""
    arrays, scales = constants(model), Scales()
    for shared in shared_channels(model):
        if not {*(shared.rectified or shared.tensors)} <= seen.keys():
            continue
        scale = _scale(shared, seen)
        for conv in shared.made_by:
            arrays[conv.weight] = arrays[conv.weight] * scale[:, None, None, None]
            arrays[conv.bias] = arrays[conv.bias] * scale
        for conv in shared.read_by:
            shape = (1, -1, 1, 1) if conv.group == 1 else (-1, 1, 1, 1)
            arrays[conv.weight] = arrays[conv.weight] / scale.reshape(shape)
        scales.update(dict.fromkeys(shared.tensors, scale))
    replace_constants(model, arrays)
    return scales


def shared_channels(model: Any) -> list[Shared]:
    """All sets of tensors that convolutions alone make and read, with ReLUs and sums between them."""
    arrays = constants(model)
    convs = {conv.name: conv for conv in convolutions(model)}
    sets = _Sets()
    fixed = {value.name for value in [*model.graph.output, *model.graph.input]}
    rectified: set[str] = set()
    for node in model.graph.node:
        given = [name for name in node.input if name and name not in arrays]
        if node.op_type == "Relu" or (node.op_type == "Add" and len(given) == 2):
            for name in given:
                sets.join(name, node.output[0])
            rectified.update(node.output if node.op_type == "Relu" else ())
        elif node.name not in convs:
            fixed.update([*given, *node.output])
    found: dict[str, Shared] = {}
    for conv in convs.values():
        found.setdefault(sets.of(conv.made), Shared([], [], [], [])).made_by.append(conv)
    for conv in convs.values():
        if (root := sets.of(conv.given)) in found:
            found[root].read_by.append(conv)
    for name in sets.names():
        if (root := sets.of(name)) in found:
            found[root].tensors.append(name)
            found[root].rectified.extend({name} & rectified)
    barred = {sets.of(name) for name in fixed}
    return [shared for root, shared in found.items() if shared.read_by and root not in barred]


def _scale(shared: Shared, seen: Mapping[str, ChannelHistograms]) -> NDArray[np.float64]:
    largest = np.max(
        [np.maximum(seen[name].high, -seen[name].low) for name in shared.rectified or shared.tensors], axis=0
    )
    return np.asarray(np.clip(largest.max() / np.maximum(largest, 1e-9), 1.0, LARGEST))


class _Sets:
    """Names that belong together."""

    def __init__(self) -> None:
        self._next: dict[str, str] = {}

    def of(self, name: str) -> str:
        while (above := self._next.setdefault(name, name)) != name:
            name = above
        return name

    def join(self, first: str, second: str) -> None:
        self._next[self.of(first)] = self.of(second)

    def names(self) -> list[str]:
        return list(self._next)
