"""How few calibration photos suffice: the default INT8 against FP32 as their number grows.

    python tests/benchmarks/calibration_size.py --run RUN [--photos DIR] [--sizes 4,8,16] [--out FILE]

For each size, calibration sets are drawn with a few seeds; the picture shows every one and their mean.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from int8 import HEADER, Bench, judged_photos
from table import show

from edgecam_calibration.choose import choose, without_judges
from edgecam_calibration.quantize import DEFAULT, TENSORRT, cpu_profile
from edgecam_calibration.run import open_run

GOAL = 0.95


def draw(points: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """CAM IoU over the number of photos, a colour for each profile."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    for name, found in points.items():
        sizes = sorted({size for size, _ in found})
        means = [np.mean([iou for size, iou in found if size == each]) for each in sizes]
        (line,) = axes.plot(sizes, means, label=name)
        axes.plot(*zip(*found, strict=True), ".", color=line.get_color(), alpha=0.6)
    axes.axhline(GOAL, color="#a0aec0", linestyle=":", label="goal")
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set(xlabel="calibration photos", ylabel="CAM IoU with FP32, mean")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=130)


def main() -> None:
    """Print the table and draw the curve."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--sizes", default="4,8,16,32,64,128")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("calibration_size.png"))
    options = parser.parse_args()
    run = open_run(options.run)
    photos = judged_photos(run, options.photos, options.limit)
    given = without_judges(run.train, [photo.path for photo in photos])
    rows, documents = [], []
    points: dict[str, list[tuple[int, float]]] = {}
    reference = None
    for size in map(int, options.sizes.split(",")):
        for seed in range(options.seeds):
            calibrators = choose(given, size, rng=np.random.default_rng(seed))
            bench = Bench(run, photos, calibrators, reference=reference)
            reference = bench.reference
            for profile in (TENSORRT, cpu_profile()):
                row, document = bench.row(str(size), profile, bench.judge(profile, DEFAULT, []))
                rows.append([*row, seed])
                documents.append({**document, "seed": seed})
                points.setdefault(str(row[0]), []).append((size, document["cam_iou_mean"]))
                print(*row, sep=" | ", file=sys.stderr, flush=True)
    draw(points, options.out)
    header = ["photos" if name == "step" else name for name in HEADER]
    show(
        f"The default INT8 by the number of calibration photos; {options.out}",
        [*header, "seed"],
        rows,
        {"sizes": documents},
    )


if __name__ == "__main__":
    main()
