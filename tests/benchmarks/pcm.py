"""What PCM costs by resolution: each pair of pixels weighed, against sums taken in the linear order.

    python tests/benchmarks/pcm.py [--sides 14 28 56 112] [--picture pcm.png]

One picture, 21 maps, 192 features, forward and backward as in training. The pairwise form holds several
matrices of (side^2)^2 floats at once, so at 112 x 112 each is 0.6 GB; a side whose matrices would not fit
into half of the free memory is left out and said so. Both forms take turns in one process; time is the
processor's. Memory is what torch's allocator held at most beyond the inputs.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from table import show
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from edgecam_training.seam.correlation import spread_by_pairs, spread_linearly

CHANNELS, FEATURES = 21, 192
MATRICES = 6  # of pixels by pixels that the pairwise form holds at its worst, a guess on the safe side
FORMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"pairs": spread_by_pairs, "linear": spread_linearly}


class Cost(NamedTuple):
    form: str
    side: int
    seconds: float  # median
    low: float  # quartiles
    high: float
    megabytes: float


def passed(spread: Callable[[Tensor, Tensor], Tensor], maps: Tensor, features: Tensor) -> float:
    """Processor seconds of one forward and backward pass."""
    began = time.process_time()
    torch.autograd.grad(spread(maps, features).square().sum(), features)
    return time.process_time() - began


def most_held(spread: Callable[[Tensor, Tensor], Tensor], maps: Tensor, features: Tensor) -> float:
    """Megabytes that torch's allocator held at most during a pass."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        passed(spread, maps, features)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiled.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    changes = sorted((e["ts"], e["args"]["Bytes"]) for e in events if e.get("name") == "[memory]")
    return float(np.cumsum([size for _, size in changes]).max()) / 2**20


def fits(form: str, side: int) -> bool:
    free = next(line for line in Path("/proc/meminfo").read_text().splitlines() if "MemAvailable" in line)
    return form != "pairs" or MATRICES * 4 * side**4 < 0.5 * 1024 * int(free.split()[1])


def measured(side: int, runs: int) -> list[Cost]:
    """Both forms at one resolution, taking turns."""
    rng = torch.Generator().manual_seed(side)
    maps = torch.rand(1, CHANNELS, side, side, generator=rng)
    features = torch.randn(1, FEATURES, side, side, generator=rng).requires_grad_()
    forms = [form for form in FORMS if fits(form, side)]
    held = {form: most_held(FORMS[form], maps, features) for form in forms}  # warms up, too
    seconds: dict[str, list[float]] = {form: [] for form in forms}
    for _ in range(runs):
        for form in forms:
            seconds[form].append(passed(FORMS[form], maps, features))
    return [
        Cost(form, side, *np.percentile(seconds[form], [50, 25, 75]).tolist(), held[form]) for form in forms
    ]


def exponent(costs: list[Cost], form: str, what: str) -> float:
    """How cost grows with the number of pixels, fitted on a log-log scale from 28 x 28 on."""
    chosen = [cost for cost in costs if cost.form == form and cost.side >= 28]
    pixels = [cost.side**2 for cost in chosen]
    return float(np.polyfit(np.log(pixels), np.log([getattr(cost, what) for cost in chosen]), 1)[0])


def draw(costs: list[Cost], exponents: dict[str, dict[str, float]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for axis, what, title in zip(axes, ("seconds", "megabytes"), ("CPU seconds", "MB held"), strict=True):
        for form in FORMS:
            chosen = [cost for cost in costs if cost.form == form]
            label = f"{form}, pixels^{exponents[form][what]:.2f}"
            axis.loglog([c.side**2 for c in chosen], [getattr(c, what) for c in chosen], "o-", label=label)
        sides = sorted({cost.side for cost in costs})
        axis.set_xticks([side**2 for side in sides], [f"{side} x {side}" for side in sides], minor=False)
        axis.minorticks_off()
        axis.set(xlabel="pixels of the map", title=title)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    figure.suptitle("The pixel correlation module, forward and backward, one picture")
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[14, 28, 56, 112])
    parser.add_argument("--runs", type=int, default=5, help="timed passes; two at a side of 100 and above")
    parser.add_argument("--picture", type=Path, default=Path("pcm.png"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    costs = [cost for side in asked.sides for cost in measured(side, 2 if side >= 100 else asked.runs)]
    exponents = {
        form: {what: exponent(costs, form, what) for what in ("seconds", "megabytes")} for form in FORMS
    }
    by_place = {(cost.form, cost.side): cost for cost in costs}
    rows = []
    for side in asked.sides:
        linear, pairs = by_place["linear", side], by_place.get(("pairs", side))
        rows.append(
            (
                f"{side} x {side}",
                f"{1000 * pairs.seconds:.1f} ({1000 * pairs.low:.1f} to {1000 * pairs.high:.1f})"
                if pairs
                else "left out: memory",
                f"{1000 * linear.seconds:.1f} ({1000 * linear.low:.1f} to {1000 * linear.high:.1f})",
                f"{pairs.seconds / linear.seconds:.1f}" if pairs else "",
                f"{pairs.megabytes:.1f}" if pairs else "",
                f"{linear.megabytes:.1f}",
            )
        )
    rows.append(
        (
            "pixels^",
            *(f"{exponents[form]['seconds']:.2f}" for form in FORMS),
            "",
            *(f"{exponents[form]['megabytes']:.2f}" for form in FORMS),
        )
    )
    draw(costs, exponents, asked.picture)
    show(
        "PCM, forward and backward, one picture, one thread",
        ("map", "pairs: CPU ms", "linear: CPU ms", "ratio", "pairs: MB", "linear: MB"),
        rows,
        {
            "benchmark": "pcm",
            "costs": [cost._asdict() for cost in costs],
            "exponents_of_pixels": exponents,
            "picture": str(asked.picture),
        },
    )


if __name__ == "__main__":
    main()
