"""One run of the ablation, in a process of its own: train, then judge answers and maps on the test split.

    python tests/benchmarks/ablation_run.py --row ROW --seed SEED --data DATA --run RUN

Prints one line of JSON. DATA is what `edgecam data composite` makes: boxes and masks are exact.
"""

import argparse
import json
import resource
import shutil
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ablation_rows import PLAIN, ROWS

from edgecam_calibration.assess import answer, assess, locate, thresholds
from edgecam_calibration.evaluate import load_labelled
from edgecam_calibration.run import open_run
from edgecam_calibration.truth import Truth, read_truth
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_training.train import train


def one_run(row: str, seed: int, data: Path, run: Path) -> dict[str, Any]:
    """Every figure of one row and seed. Speed is in photos for each second of the processor."""
    shutil.rmtree(run, ignore_errors=True)
    torch.set_num_threads(1)
    train(data, run, replace(PLAIN, **ROWS[row], seed=seed), clock=time.process_time)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    epochs = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    # The first epochs train the head and the last stages alone, the very last see no mixed photos.
    usual = epochs[PLAIN.head_epochs + PLAIN.last_epochs : len(epochs) - PLAIN.clean_epochs]
    return {
        "row": row,
        "seed": seed,
        **figures(run, data),
        "images_per_cpu_s": float(np.median([epoch["images_per_s"] for epoch in usual])),
        "peak_mb": round(peak_mb),
    }


def figures(run: Path, data: Path) -> dict[str, Any]:
    """Accuracy and localization of the exported FP32 graph on `test`; val chooses the threshold of masks."""
    opened = open_run(run)
    head, rng = opened.head, np.random.default_rng(0)
    with closing(OnnxRuntimeEngine(opened.model, name="fp32")) as engine:
        val, test = (
            answer(engine, head, load_labelled(data / part, head.classes)) for part in ("val", "test")
        )
    chosen = thresholds(val, truth_of(data, "val"), data, head.classes)
    located = locate(test, truth_of(data, "test"), data, head.classes, chosen=chosen, rng=rng)
    told = assess(test, head.classes, "fp32", located=located, rng=rng).document()
    places = told["localization"]
    return {
        **{name: told[name] for name in ("n", "top1", "macro_f1", "ece")},
        **{name: places[name] for name in ("max_box_acc_v2", "pxap", "miou")},
        "centre_max_box_acc_v2": places["baselines"]["center"]["max_box_acc_v2"],
    }


def truth_of(data: Path, part: str) -> Truth:
    """Boxes and masks of one split."""
    return read_truth(data / "boxes" / f"{part}.csv", "csv", masks=data / "masks" / part)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--row", choices=list(ROWS), required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    asked = parser.parse_args()
    print(json.dumps(one_run(asked.row, asked.seed, asked.data, asked.run)))


if __name__ == "__main__":
    main()
