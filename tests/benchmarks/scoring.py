"""How fast maps are scored: boxes at a thousand thresholds, PxAP, pointing and mIoU of each.

    python tests/benchmarks/scoring.py [--maps 10000] [--workers 2]

Maps are grids of 7 x 7 random numbers, as rough as maps of that many cells can be, brought to 224 x 224,
each with two boxes and a mask. Making one takes about a hundredth of the time and is part of it. What is
promised is 10,000 in less than 60 s on two cores.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import cv2
import numpy as np
from table import show

from edgecam_calibration.localization.scorer import Scorer

HW = (224, 224)
CHUNK = 50


def scored(seed: int, maps: int, grid: int) -> tuple[Scorer, float]:
    """Make and score some maps; also the processor's seconds, which a busy machine hardly changes."""
    cv2.setNumThreads(1)
    began = time.process_time()
    rng = np.random.default_rng(seed)
    scorer = Scorer()
    for _ in range(maps):
        cam = cv2.resize(rng.normal(size=(grid, grid)), HW, interpolation=cv2.INTER_CUBIC)
        corner, sides = rng.integers(0, 120, (2, 2)), rng.integers(40, 104, (2, 2))
        boxes = np.concatenate([corner, corner + sides], axis=1)
        mask = np.zeros(HW, np.uint8)
        for x0, y0, x1, y1 in boxes:
            mask[y0 : y1 + 1, x0 : x1 + 1] = 1
        scorer.add(cam.astype(np.float32), boxes=boxes, mask=mask, right=bool(rng.random() < 0.7))
    return scorer, time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--maps", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--grid", type=int, default=7, help="random numbers along a side: the roughness")
    asked = parser.parse_args()
    chunks = -(-asked.maps // CHUNK)
    with ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(scored, range(asked.workers), [1] * asked.workers, [asked.grid] * asked.workers))
        began, scorer, processor = time.perf_counter(), Scorer(), 0.0
        for part, spent in pool.map(scored, range(chunks), [CHUNK] * chunks, [asked.grid] * chunks):
            scorer.extend(part)
            processor += spent
        adding = time.perf_counter() - began
    result = scorer.result(rng=np.random.default_rng(0))
    seconds = time.perf_counter() - began
    per_map, spent = seconds / len(scorer), processor / len(scorer)
    show(
        "Scoring maps of 224 x 224",
        ("maps", "processes", "seconds", "of them intervals", "ms a map", "processor's ms", "10,000 maps"),
        [
            (
                len(scorer),
                asked.workers,
                f"{seconds:.1f}",
                f"{seconds - adding:.1f}",
                f"{1000 * per_map:.2f}",
                f"{1000 * spent:.2f}",
                f"{10_000 * per_map:.0f} s",
            )
        ],
        {
            "benchmark": "scoring",
            "maps": len(scorer),
            "processes": asked.workers,
            "grid": asked.grid,
            "seconds": round(seconds, 2),
            "ms_per_map": round(1000 * per_map, 3),
            "processor_ms_per_map": round(1000 * spent, 3),
            "max_box_acc_v2": result.document()["max_box_acc_v2"],
        },
    )


if __name__ == "__main__":
    main()
