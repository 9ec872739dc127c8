"""Cross-layer equalization: every channel of a tensor fills the range that they share.

A tensor has one scale for all its channels, so a channel with small values gets few steps. Multiplying it
by s where it is made (a row of the weights, whose scale is its own, so this is free) and dividing by s where
it is read leaves the function as it was.
Source: arXiv:1906.04721, section 4.1; there scales balance the weights of two layers, here what was observed
of the activations, since weights have a scale a channel.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.quantization.graph import Conv, constants, convolutions, replace_constants
from edgecam_calibration.quantization.histogram import ChannelHistograms

MARGIN: Final = 2.0  # how far above the largest value seen a ReLU6's bound must stay
LARGEST: Final = 8.0  # scale: a channel that was hardly ever seen alive says little about its range
Scales = dict[str, NDArray[np.float64]]  # tensor -> (c,)


class Shared(NamedTuple):
    """Tensors that must be scaled alike: a sum's terms, and what a rectifier reads and writes."""

    tensors: list[str]
    made_by: list[Conv]
    read_by: list[Conv]
    bounds: dict[str, float]  # output of a rectifier -> its upper bound; infinite for a plain ReLU


def equalize(model: Any, seen: Mapping[str, ChannelHistograms]) -> Scales:
    """Scale channels in place. Returns what each tensor's channels were multiplied by.

    ReLU6 commutes with no scale but 1. A channel that came nowhere near its bound may still grow until
    `MARGIN` times the largest value seen meets the bound, so on what was seen the function is unchanged,
    and the clip stays the plain one that TensorRT fuses and the CPU's quantizer absorbs.
    """
    arrays, scales = constants(model), Scales()
    for shared in shared_channels(model):
        if not {*(shared.bounds or shared.tensors)} <= seen.keys():
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
    """All sets of tensors that convolutions alone make and read, with rectifiers and sums between them."""
    arrays = constants(model)
    convs = {conv.name: conv for conv in convolutions(model)}
    sets = _Sets()
    fixed = {value.name for value in [*model.graph.output, *model.graph.input]}
    bounds: dict[str, float] = {}
    for node in model.graph.node:
        given = [name for name in node.input if name and name not in arrays]
        if node.op_type == "Relu" or (node.op_type == "Clip" and _from_zero(node, arrays)):
            sets.join(given[0], node.output[0])
            bounds[node.output[0]] = float(arrays[node.input[2]]) if node.op_type == "Clip" else np.inf
        elif node.op_type == "Add" and len(given) == 2:
            sets.join(given[0], node.output[0])
            sets.join(given[1], node.output[0])
        elif node.name not in convs:
            fixed.update([*given, *node.output])
    found: dict[str, Shared] = {}
    for conv in convs.values():
        found.setdefault(sets.of(conv.made), Shared([], [], [], {})).made_by.append(conv)
    for conv in convs.values():
        if (root := sets.of(conv.given)) in found:
            found[root].read_by.append(conv)
    for name in sets.names():
        if (root := sets.of(name)) in found:
            found[root].tensors.append(name)
            found[root].bounds.update({name: bounds[name]} if name in bounds else {})
    barred = {sets.of(name) for name in fixed}
    return [shared for root, shared in found.items() if shared.read_by and root not in barred]


def _scale(shared: Shared, seen: Mapping[str, ChannelHistograms]) -> NDArray[np.float64]:
    if shared.bounds:
        largest = np.max([seen[name].high for name in shared.bounds], axis=0)
        bound = min(shared.bounds.values()) / MARGIN
    else:
        largest = np.max([np.maximum(seen[name].high, -seen[name].low) for name in shared.tensors], axis=0)
        bound = np.inf
    return np.asarray(np.clip(min(bound, largest.max()) / np.maximum(largest, 1e-9), 1.0, LARGEST))


def _from_zero(node: Any, arrays: Mapping[str, NDArray[Any]]) -> bool:
    known = len(node.input) == 3 and {*node.input[1:]} <= arrays.keys()
    return known and float(arrays[node.input[1]]) == 0.0


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
