"""The cheapest set of layers in float with which a network still answers as FP32 does."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from edgecam_calibration.mixed.chain import Chain
from edgecam_calibration.mixed.cover import cost_of, cover
from edgecam_calibration.mixed.plan import Kept, Plan, Trial
from edgecam_calibration.mixed.sensitivity import Harm, Sensitivity
from edgecam_calibration.mixed.yardstick import Likeness, Target, Yardstick
from edgecam_engines.engine import Frames
from edgecam_engines.head import Head

MOST_MACS: Final = 0.5  # in float; beyond that INT8 saves too little for its rounding
LEVELS: Final = 32  # of harm left over, each a set to consider
# MACs that one number costs where float and INT8 meet: it is converted, written and read again.
CROSSING: Final = 32

Measure = Callable[[Sequence[str]], Likeness]  # units in float -> how the network then answers


def plan_for(
    chain: Chain,
    head: Head,
    sensitivity: Sensitivity,
    batches: Sequence[Frames],
    *,
    profile: str,
    target: Target,
    most_macs: float = MOST_MACS,
) -> Plan:
    """Search with the answers to these frames as the measure."""
    everything = [unit.name for unit in chain.units]
    hw = (batches[0].shape[1], batches[0].shape[2])
    yardstick = Yardstick(head, chain.features(batches, everything), hw)

    def likeness(kept: Sequence[str]) -> Likeness:
        return yardstick.likeness(chain.features(batches, kept))

    items = sensitivity.items()
    chosen, trials = search(items, likeness, target, most_macs=most_macs)
    nodes = {unit.name: unit.nodes for unit in chain.units}
    macs = sum(item.macs for item in items)
    kept = [
        Kept(
            item.name,
            [node for unit in item.units for node in nodes[unit]],
            item.macs / macs,
            item.alone,
            item.spared,
        )
        for item in chosen or []
    ]
    share = sum(item.macs_share for item in kept)
    return Plan(
        profile=profile,
        ships=bool(chosen),
        reason=_reason(chosen, share, trials, most_macs),
        kept=kept,
        macs_share=share,
        int8_error=sensitivity.int8,
        target=target,
        photos_ranked=sensitivity.photos,
        photos_checked=sum(len(batch) for batch in batches),
        trials=trials,
    )


def search(
    items: Sequence[Harm], measure: Measure, target: Target, *, most_macs: float = MOST_MACS
) -> tuple[list[Harm] | None, list[Trial]]:
    """The items to keep in float ([]: INT8 will do; None: no set that pays is good enough), and all trials.

    Squares of errors that do not know of each other add up. So for any share of them that may be left
    there is one cheapest set; bisection finds the largest share whose set is good enough when measured.
    Then whatever the network can do without after all is taken out again, the most expensive first.
    """
    trials: list[Trial] = []
    macs = sum(item.macs for item in items) or 1

    def passes(kept: Sequence[int]) -> bool:
        names = [items[i].name for i in kept]
        found = measure([unit for i in kept for unit in items[i].units])
        trials.append(Trial(names, sum(items[i].macs for i in kept) / macs, found))
        return target.meets(found)

    if passes([]):
        return [], trials
    ladder = [s for s in _ladder(items) if sum(items[i].macs for i in s) <= most_macs * macs]
    if not ladder or not passes(ladder[-1]):
        return None, trials
    low, high = 0, len(ladder) - 1  # the first good one is in low..high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(ladder[middle]) else (middle + 1, high)
    return [items[i] for i in _pruned(ladder[high], items, passes)], trials


def _ladder(items: Sequence[Harm]) -> list[list[int]]:
    """Sets that undo more and more harm at more and more cost."""
    harms = [item.alone**2 for item in items]
    costs, crossings = _prices(items)
    found: list[list[int]] = []
    for left in [*np.geomspace(0.9, 0.01, LEVELS).tolist(), 0.0]:
        chosen = cover(harms, costs, crossings, (1 - left) * sum(harms))
        if chosen and chosen not in found:
            found.append(chosen)
    return found


def _pruned(kept: list[int], items: Sequence[Harm], passes: Callable[[list[int]], bool]) -> list[int]:
    """Without the items that are not needed. Those whose absence would only add crossings stay."""
    costs, crossings = _prices(items)

    def cost(chosen: Sequence[int]) -> float:
        return cost_of([i in chosen for i in range(len(items))], costs, crossings)

    for item in sorted(kept, key=lambda i: -costs[i]):
        fewer = [i for i in kept if i != item]
        if fewer and cost(fewer) < cost(kept) and passes(fewer):
            kept = fewer
    return kept


def _prices(items: Sequence[Harm]) -> tuple[list[float], list[float]]:
    """Of keeping each item in float, and of a border between it and the one before, in MACs."""
    crossings = [0.0] + [float(CROSSING * item.edge) for item in items[:-1]]
    return [float(item.macs) for item in items], crossings


def _reason(chosen: list[Harm] | None, share: float, trials: Sequence[Trial], most_macs: float) -> str:
    plain, last = trials[0].likeness, trials[-1].likeness
    if chosen is None:
        return (
            f"no set of layers with up to {most_macs:.0%} of the MACs in float keeps the maps "
            f"(CAM IoU {last.cam_iou:.3f} at {trials[-1].macs_share:.0%}), so mixed precision does not pay"
        )
    if not chosen:
        return f"plain INT8 keeps the maps of these photos (CAM IoU {plain.cam_iou:.3f})"
    names = {item.name for item in chosen}
    at = next(trial.likeness for trial in trials if set(trial.kept) == names)
    return (
        f"{len(chosen)} layers and blocks with {share:.1%} of the MACs stay in float: CAM IoU "
        f"{at.cam_iou:.3f} (10th percentile {at.cam_iou_p10:.3f}) instead of {plain.cam_iou:.3f} "
        f"({plain.cam_iou_p10:.3f}) in INT8"
    )
