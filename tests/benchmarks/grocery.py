"""Accuracy of the default recipe on the Grocery Store data set's coarse labels, and how long it takes.

    python tests/benchmarks/grocery.py --data GROCERY [--out bench-out/grocery]

GROCERY holds train/CLASS/*.jpg and val/CLASS/*.jpg: the data set of Klasson, Zhang and Kjellstrom
(WACV 2019, arXiv:1901.00711, MIT licence), its own splits, arranged by the 43 coarse classes. The figure
is top-1 on val with the averaged weights of the last epoch, never the best of several.
"""

import argparse
import shutil
import time
from pathlib import Path

from table import show

from edgecam_training.options import Options
from edgecam_training.train import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench-out/grocery"))
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if (asked.out / "options.json").exists():
        shutil.rmtree(asked.out)
    began = time.monotonic()
    options = Options(seed=asked.seed)
    scores = train(asked.data, asked.out, options).report
    minutes = (time.monotonic() - began) / 60
    low, high = scores.top1_ci95
    show(
        "Grocery Store, 43 coarse classes, default recipe",
        ("val top-1", "95 % interval", "n", "macro F1", "epochs", "minutes"),
        [
            (
                f"{scores.top1:.1%}",
                f"{low:.1%} to {high:.1%}",
                scores.n,
                f"{scores.macro_f1:.3f}",
                options.epochs,
                f"{minutes:.1f}",
            )
        ],
        {
            "benchmark": "grocery",
            "seed": asked.seed,
            "top1": scores.top1,
            "top1_ci95": scores.top1_ci95,
            "n": scores.n,
            "macro_f1": scores.macro_f1,
            "minutes": round(minutes, 2),
        },
    )


if __name__ == "__main__":
    main()
