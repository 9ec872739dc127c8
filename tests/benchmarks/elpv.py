"""Accuracy on solar cells' electroluminescence photos, over several seeds.

    python tests/benchmarks/elpv.py [--seeds 0,1,2] [--out bench-out/elpv]

Each seed draws its own quarter of the 2,624 photos as test split, as the published CNN's protocol does
(88.42 %, Deitsch et al., arXiv:1807.02894), trains on the rest with its natural class shares, and is
scored once, with the weights of the last epoch. Training is told what the annotators said: sure, or in
doubt (that paper weighs photos by it); such halves of a class are added up before the answer is scored.
A finished seed is appended to results.jsonl, so the command can be stopped and started again. The photos
are CC BY-NC-SA 4.0 and are downloaded from PyPI.
"""

import argparse
import json
import shutil
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from table import show

from edgecam import elpv
from edgecam.commands.demo import recipe as demo_recipe
from edgecam_calibration.classification.scores import ClassificationReport, classification_report
from edgecam_calibration.evaluate import Labelled, PhotoFrames, run_engine
from edgecam_calibration.intervals import wilson
from edgecam_calibration.run import Run, open_run
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_training.data import cache_folder
from edgecam_training.options import Options
from edgecam_training.train import train

VAL_PER_CLASS = 20  # only to draw the curves; nothing is chosen by it


def recipe(seed: int) -> Options:
    """The demo's, longer, on photos in their natural shares.

    Like the demo's, its weights are not averaged with ImageNet's: 5 % of those change nothing, 15 % lose two
    points (one run). Trained at 256 pixels (192 at first) and judged at 288, close to the photos' own 300.
    The first four stages keep their ImageNet weights, which saves two fifths of a step and pays for the
    epochs.
    """
    return replace(
        demo_recipe(epochs=24, expect={}),
        input_height=288,
        input_width=288,
        train_scale=0.889,
        frozen_stages=4,
        balance=0.0,
        seed=seed,
    )


def doubt(cell: elpv.Cell) -> str:
    """The class that training is given: "defective-3" is surely so, "defective-2" in doubt."""
    return f"{elpv.class_of(cell)}-{round(3 * cell.probability)}"


def score(run: Run, cells: list[elpv.Cell]) -> ClassificationReport:
    """The FP32 engine's answers, functional or defective."""
    photos = PhotoFrames([Labelled(cell.path, cell.label) for cell in cells], recipe(0).input_hw)
    with closing(OnnxRuntimeEngine(run.model, name="onnxruntime-fp32", threads=2)) as engine:
        probabilities = run.head.probabilities(run_engine(engine, run.head, photos).logits)
    merged = np.stack(
        [
            sum(probabilities[:, k] for k, fine in enumerate(run.head.classes) if fine.startswith(name))
            for name in elpv.CLASSES
        ],
        axis=1,
    )
    return classification_report(np.array(photos.labels, dtype=np.int64), merged, elpv.CLASSES)


def one_seed(seed: int, out: Path) -> dict[str, Any]:
    """Train on three quarters of the photos, then score the FP32 engine on the last quarter, once."""
    parts = elpv.split(elpv.fetch(cache_folder()), seed=seed, per_class=None, val_per_class=VAL_PER_CLASS)
    folder = out / f"seed-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    elpv.lay_out(parts.train, folder / "data" / "train", doubt)
    elpv.lay_out(parts.val, folder / "data" / "val", doubt)
    began = time.monotonic()
    train(folder / "data", folder / "run", recipe(seed))
    minutes = (time.monotonic() - began) / 60
    scores = score(open_run(folder / "run"), parts.test)
    return {
        "seed": seed,
        "top1": scores.top1,
        "n": scores.n,
        "macro_f1": round(scores.macro_f1, 4),
        "minutes": round(minutes, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out", type=Path, default=Path("bench-out/elpv"))
    asked = parser.parse_args()
    seeds = [int(seed) for seed in asked.seeds.split(",")]
    results = asked.out / "results.jsonl"
    asked.out.mkdir(parents=True, exist_ok=True)
    print(elpv.LICENCE)
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    for seed in seeds:
        if seed not in {row["seed"] for row in done}:
            done.append(one_seed(seed, asked.out))
            with results.open("a") as file:
                file.write(json.dumps(done[-1]) + "\n")
    report([row for row in done if row["seed"] in seeds])


def report(rows: list[dict[str, Any]]) -> None:
    """The mean over seeds; its interval is Wilson's over all test answers, which share no training run."""
    right, n = sum(round(row["top1"] * row["n"]) for row in rows), sum(row["n"] for row in rows)
    low, high = wilson(right, n).tolist()
    spread = float(np.std([row["top1"] for row in rows], ddof=1)) if len(rows) > 1 else 0.0
    show(
        "Solar cells, functional against defective, a quarter of 2,624 photos to test",
        ("seed", "test top-1", "n", "macro F1", "minutes"),
        [
            *((row["seed"], f"{row['top1']:.2%}", row["n"], row["macro_f1"], row["minutes"]) for row in rows),
            ("all", f"{right / n:.2%} ({low:.1%} to {high:.1%})", n, "", f"spread of seeds {spread:.2%}"),
        ],
        {
            "benchmark": "elpv",
            "top1": right / n,
            "top1_ci95": [low, high],
            "n": n,
            "seeds": [row["seed"] for row in rows],
            "top1_by_seed": [row["top1"] for row in rows],
            "top1_std": spread,
        },
    )


if __name__ == "__main__":
    main()
