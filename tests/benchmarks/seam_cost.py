"""What SEAM and Mixup-CAM add to a training step, against the same step without them.

    python tests/benchmarks/seam_cost.py [--rounds 7]

Whole steps of the trainer (mix, forward, losses, backward, optimizer) of the default network at 160 pixels
and 32 photos, all of it learning. In each round every recipe takes one step, so a busy machine slows all
alike; time is the processor's. What is promised is at most 2.2 times a plain step for SEAM with PCM.
"""

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from table import show

from edgecam_training.allocator import keep_freed_memory
from edgecam_training.batches import Batch
from edgecam_training.model import Model
from edgecam_training.optimizer import make_optimizer, unfreeze
from edgecam_training.options import Options
from edgecam_training.seam import add_correlation
from edgecam_training.step import one_step

CLASSES, LIMIT = 20, 2.2
PLAIN = Options(input_height=160, input_width=160, pretrained=False, er=0, ecr=0, mix="cutmix")
SEAM: dict[str, Any] = {"er": 0.1, "ecr": 0.1, "rvmin": 0.1}
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "Mixup-CAM's losses": {"cam_entropy": 0.02, "cam_concentration": 2e-4},
    "ER and ECR (the default)": {"er": 0.1, "ecr": 0.1},
    "SEAM, PCM by pairs": {**SEAM, "seam_pcm": "pairs", "distil": 0.1},
    "SEAM, linear PCM": {**SEAM, "seam_pcm": "linear", "distil": 0.1},
    "the same, mirrored": {**SEAM, "seam_pcm": "linear", "distil": 0.1, "seam_transform": "flip"},
    "the same, whole batch": {**SEAM, "seam_pcm": "linear", "distil": 0.1, "seam_share": 1.0},
}


class Recipe:
    """One network in training."""

    def __init__(self, changes: dict[str, Any]) -> None:
        self.options = replace(PLAIN, **changes)
        torch.manual_seed(0)
        o = self.options
        net = Model(CLASSES, backbone=o.backbone, head=o.head, dim=o.dim, dropout=o.dropout, pretrained=False)
        self.model = add_correlation(net, o).to(memory_format=torch.channels_last)
        unfreeze(self.model, o.epochs, o)
        self.optimizer = make_optimizer(self.model, o)

    def seconds(self, batch: Batch, step: int) -> float:
        """Processor seconds of one step."""
        began = time.process_time()
        one_step(self.model, self.optimizer, batch, self.options, epoch=0, step=step)
        return time.process_time() - began


def a_batch(step: int) -> Batch:
    rng = torch.Generator().manual_seed(step)
    frames = torch.randint(0, 256, (PLAIN.batch, *PLAIN.input_hw, 3), dtype=torch.uint8, generator=rng)
    return Batch(frames, torch.randint(CLASSES, (PLAIN.batch,), generator=rng))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    recipes = {name: Recipe(changes) for name, changes in RECIPES.items()}
    spent: dict[str, list[float]] = {name: [] for name in recipes}
    for step in range(asked.rounds + 1):
        batch = a_batch(step)
        for name, recipe in recipes.items():
            seconds = recipe.seconds(batch, step)
            if step:  # the first round warms up
                spent[name].append(seconds)
    plain = np.array(spent["plain"])
    ratios = {name: np.percentile(np.array(seconds) / plain, [50, 0, 100]) for name, seconds in spent.items()}
    show(
        f"A training step of {PLAIN.batch} photos at 160 x 160, one thread, {asked.rounds} rounds",
        ("recipe", "CPU s a step", "times plain (median)", "lowest to highest"),
        [
            (name, f"{np.median(spent[name]):.2f}", f"{middle:.2f}", f"{low:.2f} to {high:.2f}")
            for name, (middle, low, high) in ratios.items()
        ],
        {
            "benchmark": "seam_cost",
            "limit_times_plain": LIMIT,
            "within_limit": bool(ratios["SEAM, PCM by pairs"][0] <= LIMIT),
            "times_plain": {name: round(float(middle), 3) for name, (middle, _, _) in ratios.items()},
            "plain_cpu_s": round(float(np.median(plain)), 3),
        },
    )


if __name__ == "__main__":
    main()
