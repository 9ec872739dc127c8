"""How fast the default recipe trains, against torchvision's reference classification loop on the same net.

    python tests/benchmarks/training_speed.py [--data PHOTOS] [--rounds 7] [--steps 3] [--threads 2]

The reference is what torchvision's references/classification does on a CPU: a DataLoader that decodes with
Pillow, RandomResizedCrop and a flip, CutMix from transforms.v2 in the collation, NCHW, SGD with momentum,
every layer learning at every step. Ours is the trainer's own path: decoded photos, its augmentation, mixes,
SEAM's branch, AdamW, clipping and averaged weights. It has four kinds of epochs (the head alone, the last
stages too, everything at the smaller input, everything at the full one); the recipe's figure weighs them by
their number. "the same work" is the full epoch without SEAM: what is won by doing the same thing better.

Both sides take turns in one process, and the ratio of each round is kept. Processor time is that of the
process and of the loader's worker; a busy machine changes it little. Promised is 1.4 times the reference.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import psutil
import torch
import torch.nn.functional as F
from table import show
from torch import Tensor, nn
from torch.utils.data import DataLoader, default_collate
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from edgecam_training.allocator import keep_freed_memory
from edgecam_training.batches import epoch_batches
from edgecam_training.begin import make_model
from edgecam_training.data import Split, cache_folder, decode, find_photos
from edgecam_training.ema import Ema
from edgecam_training.optimizer import make_optimizer, unfreeze
from edgecam_training.options import Options
from edgecam_training.step import one_step

SIDE, BATCH = 160, 32
RECIPE = Options(input_height=SIDE, input_width=SIDE, batch=BATCH)


class Turn(NamedTuple):
    """Seconds for an image."""

    wall: float
    processor: float


class Reference(nn.Module):
    """The same layers, fed as torchvision feeds them: (n, 3, h, w) floats, normalised in the loader."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.model = make_model(RECIPE, tuple(map(str, range(classes))), np.zeros(1, np.int64))
        self.mean = (self.model.backbone.mean.flatten() / 255).tolist()
        self.std = (self.model.backbone.std.flatten() / 255).tolist()
        self.model.backbone.mean.zero_()
        self.model.backbone.std.fill_(1)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model.logits(self.model.head(*self.model.backbone(pixels)))


def reference_steps(photos: Path, workers: int) -> Iterator[None]:
    """One step of the reference for each item, for ever."""
    classes = len(list(photos.iterdir()))
    net = Reference(classes).train()
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(SIDE),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(net.mean, net.std),
        ]
    )
    cutmix = v2.CutMix(num_classes=classes)
    loader = DataLoader(
        ImageFolder(str(photos), transform),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=lambda samples: cutmix(*default_collate(samples)),
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    while True:
        for images, targets in loader:
            loss = F.cross_entropy(net(images), targets, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
            yield


def our_steps(split: Split, options: Options, epoch: int) -> Iterator[None]:
    """One step of an epoch of that number for each item, for ever."""
    labels = np.array([item.label for item in split.train], dtype=np.int64)
    side = round(SIDE * 1.5)
    frames = decode(split.train, (side, side), cache_folder())
    model = make_model(options, split.classes, labels).to(memory_format=torch.channels_last)
    ema, optimizer = Ema(model, options.ema), make_optimizer(model, options)
    unfreeze(model, epoch, options)
    step = 0
    while True:
        batches = epoch_batches(
            frames,
            labels,
            hw=options.train_hw(epoch),
            batch=BATCH,
            min_crop=options.min_crop,
            recolour=options.recolour,
            balance=options.balance,
            seed=(step, epoch),
        )
        for batch in batches:
            one_step(model, optimizer, batch, options, epoch=epoch, step=step)
            ema.update(model)
            step += 1
            yield


def timed(steps: Iterator[None], count: int) -> Turn:
    """Time so many steps; the loader's workers count where they belong, to the side that has them."""
    wall, spent = time.perf_counter(), processor_seconds()
    for _ in range(count):
        next(steps)
    images = count * BATCH
    return Turn((time.perf_counter() - wall) / images, (processor_seconds() - spent) / images)


def processor_seconds() -> float:
    """Of this process and its living children."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = [child.cpu_times() for child in psutil.Process().children()]
    return own.ru_utime + own.ru_stime + sum(times.user + times.system for times in children)


def drawn_photos(folder: Path, count: int) -> Path:
    """JPEGs of 500 x 375 cut from scikit-image's own photos, the most usual size of a photo set."""
    from skimage import data

    rng = np.random.default_rng(0)
    for name in ("chelsea", "coffee", "astronaut", "rocket"):
        photo = np.asarray(getattr(data, name)())[..., 2::-1]
        (folder / name).mkdir(parents=True)
        for number in range(count // 4):
            h, w = (int(side * rng.uniform(0.5, 1)) for side in photo.shape[:2])
            top, left = rng.integers(photo.shape[0] - h + 1), rng.integers(photo.shape[1] - w + 1)
            crop = cv2.resize(np.ascontiguousarray(photo[top : top + h, left : left + w]), (500, 375))
            cv2.imwrite(str(folder / name / f"{number:03}.jpg"), crop)
    return folder


def kinds(split: Split) -> dict[str, tuple[int, Iterator[None]]]:
    """Kind of epoch -> how many of them the recipe has, and its steps."""
    epochs = range(RECIPE.epochs)
    head, last = RECIPE.head_epochs, RECIPE.head_epochs + RECIPE.last_epochs
    small = [e for e in epochs if e >= last and RECIPE.train_hw(e) != RECIPE.input_hw]
    full = [e for e in epochs if e >= last and RECIPE.train_hw(e) == RECIPE.input_hw]
    plain = replace(RECIPE, er=0.0, ecr=0.0)
    # Not a clean epoch: one in which photos are mixed, as in the reference.
    return {
        "the head alone": (head, our_steps(split, RECIPE, 0)),
        "the last stages too": (last - head, our_steps(split, RECIPE, head)),
        "all, smaller input": (len(small), our_steps(split, RECIPE, small[0])),
        "all, full input": (len(full), our_steps(split, RECIPE, full[0])),
        "the same work": (0, our_steps(split, plain, full[0])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="DATA/CLASS/*.jpg; otherwise photos are drawn")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3, help="steps a turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="of the reference's loader")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    cv2.setNumThreads(1)
    keep_freed_memory()  # for both sides
    with tempfile.TemporaryDirectory() as folder:
        photos = asked.data or drawn_photos(Path(folder) / "photos", 256)
        split = find_photos(photos, val_share=0.1, min_photos=2, seed=0)
        ours = kinds(split)
        sides = {"reference": reference_steps(photos, asked.workers)}
        sides |= {name: steps for name, (_, steps) in ours.items()}
        for steps in sides.values():
            next(steps)  # warm-up
        rounds = []
        for number in range(asked.rounds):
            names = list(sides) if number % 2 else list(sides)[::-1]
            rounds.append({name: timed(sides[name], asked.steps) for name in names})
    report(rounds, {name: count for name, (count, _) in ours.items()}, asked)


def report(rounds: list[dict[str, Turn]], epochs: dict[str, int], asked: argparse.Namespace) -> None:
    for turns in rounds:
        total = sum(epochs.values())
        turns["the recipe"] = Turn(*(sum(epochs[k] * turns[k][i] for k in epochs) / total for i in range(2)))

    def of(measure: Callable[[dict[str, Turn]], float]) -> tuple[float, float, float]:
        values = [measure(turns) for turns in rounds]
        return float(np.median(values)), min(values), max(values)

    rows, document = [], {}
    for name in ("reference", *epochs, "the recipe"):
        cpu, cpu_low, cpu_high = of(lambda t, n=name: t["reference"].processor / t[n].processor)
        wall, wall_low, wall_high = of(lambda t, n=name: t["reference"].wall / t[n].wall)
        ms, speed = 1000 * of(lambda t, n=name: t[n].processor)[0], 1 / of(lambda t, n=name: t[n].wall)[0]
        rows.append(
            (
                name,
                epochs.get(name, ""),
                f"{ms:.1f}",
                f"{cpu:.2f} ({cpu_low:.2f} to {cpu_high:.2f})",
                f"{speed:.1f}",
                f"{wall:.2f} ({wall_low:.2f} to {wall_high:.2f})",
            )
        )
        document[name.replace(",", "").replace(" ", "_")] = {
            "processor_ms_per_image": round(ms, 2),
            "images_per_s": round(speed, 2),
            "times_reference_processor": [round(v, 3) for v in (cpu, cpu_low, cpu_high)],
            "times_reference_wall": [round(v, 3) for v in (wall, wall_low, wall_high)],
        }
    show(
        f"Training at {SIDE} px, batch {BATCH}, threads {asked.threads}: median (lowest to highest)",
        ("kind of epoch", "epochs", "processor's ms an image", "x reference", "images/s", "x reference"),
        rows,
        {"benchmark": "training_speed", "rounds": asked.rounds, "threads": asked.threads, "sides": document},
    )


if __name__ == "__main__":
    main()
