"""Accuracy of the default recipe on the Grocery Store data set's coarse labels, and how long it takes.

    python tests/benchmarks/grocery.py --data GROCERY [--out bench-out/grocery] [--seeds 0 1 2]

GROCERY holds train/CLASS/*.jpg and val/CLASS/*.jpg: the data set of Klasson, Zhang and Kjellstrom
(WACV 2019, arXiv:1901.00711, MIT licence), its own splits, arranged by the 43 coarse classes. The figure
is top-1 on val with the weights that are kept after the last epoch, never the best of several. What was
stopped goes on when the command is given again.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from table import show

from edgecam_training.options import Options
from edgecam_training.train import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench-out/grocery"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    asked = parser.parse_args()
    rows, figures = [], []
    for seed in asked.seeds:
        began, run = time.monotonic(), asked.out / f"seed-{seed}"
        scores = train(asked.data, run, Options(seed=seed), resume=(run / "options.json").exists()).report
        minutes = (time.monotonic() - began) / 60
        low, high = scores.top1_ci95
        rows.append(
            (
                seed,
                f"{scores.top1:.1%}",
                f"{low:.1%} to {high:.1%}",
                scores.n,
                f"{scores.macro_f1:.3f}",
                f"{minutes:.1f}",
            )
        )
        figures.append({"seed": seed, "top1": scores.top1, "top1_ci95": scores.top1_ci95, "n": scores.n})
    mean = float(np.mean([figure["top1"] for figure in figures]))
    if len(rows) > 1:
        rows.append(("mean", f"{mean:.1%}", "", "", "", ""))
    show(
        f"Grocery Store, 43 coarse classes, default recipe, {Options().epochs} epochs",
        ("seed", "val top-1", "95 % interval", "n", "macro F1", "minutes"),
        rows,
        {"benchmark": "grocery", "top1": mean, "seeds": figures},
    )


if __name__ == "__main__":
    main()
