"""What INT8 does to the maps, block by block and layer by layer, in both directions."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from edgecam_calibration.mixed.chain import Chain
from edgecam_calibration.mixed.units import Unit
from edgecam_calibration.mixed.yardstick import Yardstick
from edgecam_engines.console import track
from edgecam_engines.engine import Frames
from edgecam_engines.head import Head

LOOK_INSIDE: Final = 0.01  # a block's share of all harm from which its layers are measured one by one


class Harm(NamedTuple):
    """One block or layer. Errors are relative, of the class maps (see Yardstick.error)."""

    name: str
    block: str
    units: tuple[str, ...]
    macs: int
    edge: int  # numbers that it hands on, for one picture
    alone: float  # error with this in INT8 and the rest in float
    spared: float  # error with this in float and the rest in INT8


class Sensitivity(NamedTuple):
    """Of one network in one Q/DQ profile."""

    photos: int
    int8: float  # error with everything in INT8
    blocks: list[Harm]  # all of them, in the order of the graph
    layers: list[Harm]  # of the harmful blocks, or of all

    def items(self) -> list[Harm]:
        """What may be kept in float: a block as a whole where its layers were not measured."""
        inside: dict[str, list[Harm]] = {}
        for layer in self.layers:
            inside.setdefault(layer.block, []).append(layer)
        return [item for block in self.blocks for item in inside.get(block.name, [block])]


def measure(chain: Chain, head: Head, batches: Sequence[Frames], *, every_layer: bool = False) -> Sensitivity:
    """Run the network with each block and then each layer in INT8 alone, and with each spared alone.

    Blocks that do next to no harm are not looked into, unless `every_layer`.
    """
    names = [unit.name for unit in chain.units]
    in_float, in_int8 = chain.trace(batches, names), chain.trace(batches)
    yardstick = Yardstick(head, in_float.features, _hw(batches))
    traces = [in_float, in_int8]

    def harm(name: str, units: Sequence[Unit]) -> Harm:
        chosen = [unit.name for unit in units]
        alone = chain.resume(traces, [other for other in names if other not in chosen])
        spared = chain.resume(traces, chosen)
        return Harm(
            name,
            units[0].block,
            tuple(chosen),
            sum(unit.macs for unit in units),
            units[-1].elements,
            yardstick.error(alone),
            yardstick.error(spared),
        )

    by_block = dict(_by_block(chain.units))
    blocks = [harm(name, units) for name, units in track(by_block.items(), "Blocks in INT8", len(by_block))]
    total = sum(block.alone**2 for block in blocks)
    inside = [
        unit
        for block in blocks
        if len(block.units) > 1 and (every_layer or block.alone**2 > LOOK_INSIDE * total)
        for unit in by_block[block.name]
    ]
    layers = [harm(unit.name, [unit]) for unit in track(inside, "Layers in INT8")]
    photos = sum(len(batch) for batch in batches)
    return Sensitivity(photos, yardstick.error(in_int8.features), blocks, layers)


def _by_block(units: Sequence[Unit]) -> Iterator[tuple[str, list[Unit]]]:
    for name in dict.fromkeys(unit.block for unit in units):
        yield name, [unit for unit in units if unit.block == name]


def _hw(batches: Sequence[Frames]) -> tuple[int, int]:
    return batches[0].shape[1], batches[0].shape[2]
