"""What each mix costs, as a share of a plain training step.

    OMP_NUM_THREADS=1 python tests/benchmarks/mixing.py [--rounds 7] [--size 160] [--batch 32]

Plain is forward, cross-entropy, backward and AdamW of the default network, without mix and SEAM. In each
round one plain step and every mix take turns, so a busy machine slows both alike, and the processor's time
is counted. What is promised is 3 % for mixes that need no maps. Those that do make a forward pass of their
own, which is part of their time.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from table import show

from edgecam_training.allocator import keep_freed_memory
from edgecam_training.batches import Batch
from edgecam_training.mixing import MIXES
from edgecam_training.model import Model
from edgecam_training.optimizer import make_optimizer
from edgecam_training.options import Options
from edgecam_training.step import mix, one_step

CLASSES = 43
PROMISED = 0.03


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """The processor's seconds for one call."""
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


def measured(rounds: int, size: int, batch: int) -> tuple[list[float], dict[tuple[str, bool], list[float]]]:
    """Seconds of plain steps, and of each mix (by name; one mask a sample or not), a number a round."""
    torch.set_num_threads(1)
    keep_freed_memory()
    torch.manual_seed(0)
    plain = Options(
        input_height=size,
        input_width=size,
        batch=batch,
        epochs=1,
        clean_epochs=0,
        mix="none",
        er=0.0,
        ecr=0.0,
    )
    model = Model(
        CLASSES, backbone=plain.backbone, head=plain.head, dim=plain.dim, dropout=0.2, pretrained=True
    ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.train()
    optimizer = make_optimizer(model, plain)
    rng = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8, generator=rng)
    given = Batch(frames, torch.arange(batch) % CLASSES)
    steps: list[float] = []
    mixes: dict[tuple[str, bool], list[float]] = {(name, own): [] for own in (False, True) for name in MIXES}
    for turn in range(rounds + 1):
        step = seconds(lambda turn=turn: one_step(model, optimizer, given, plain, epoch=0, step=turn))  # type: ignore[misc]
        steps.append(step)
        for (name, own), spent in mixes.items():
            options = Options(mix=f"{name}:1", mix_per_sample=own)
            times = 1 if MIXES[name].needs_saliency else 5
            spent.append(
                seconds(lambda options=options: mix(model, given, options, rng, clean=False), times)  # type: ignore[misc]
            )
    return steps[1:], {key: spent[1:] for key, spent in mixes.items()}  # the first round warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch", type=int, default=32)
    asked = parser.parse_args()
    steps, mixes = measured(asked.rounds, asked.size, asked.batch)
    rows, document = [], {}
    for (name, own), spent in mixes.items():
        ratio = np.array(spent) / np.array(steps)
        low, middle, high = np.quantile(ratio, [0, 0.5, 1])
        kept = "" if MIXES[name].needs_saliency else ("yes" if middle <= PROMISED else "NO")
        rows.append(
            (
                name,
                "sample" if own else "batch",
                f"{1000 * np.median(spent):.1f}",
                f"{middle:.2%}",
                f"{low:.2%} to {high:.2%}",
                kept,
            )
        )
        document[f"{name}{' per sample' if own else ''}"] = round(float(middle), 5)
    step_ms = 1000 * float(np.median(steps))
    show(
        f"Mixes of {asked.batch} photos at {asked.size} px; a plain step takes {step_ms:.0f} ms of processor",
        ("mix", "a mask a", "processor's ms", "of a step", "least to most", "at most 3 %"),
        rows,
        {
            "benchmark": "mixing",
            "rounds": asked.rounds,
            "step_processor_ms": round(step_ms, 1),
            "share_of_step": document,
        },
    )


if __name__ == "__main__":
    main()
