"""The trainer. Reads top to bottom: photos, network, optimizer, steps, and what is kept of them."""

import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgecam_engines.console import bar, log
from edgecam_engines.errors import TrainingError
from edgecam_engines.files import write_json
from edgecam_engines.signals import stop_on_signal
from edgecam_training.allocator import keep_freed_memory
from edgecam_training.batches import Batch, epoch_batches, steps_per_epoch
from edgecam_training.checkpoint import Position, load_checkpoint, save_checkpoint
from edgecam_training.data import Item, Split, cache_folder, decode, find_photos
from edgecam_training.ema import Ema
from edgecam_training.heads import load_balance, routings
from edgecam_training.judge import Judged, judge
from edgecam_training.losses import mixed_cross_entropy
from edgecam_training.map_losses import map_loss
from edgecam_training.mixing import MIXES, Given, Mixed, parse_mixes, pick, unmixed
from edgecam_training.mixing.saliency import true_class_maps
from edgecam_training.model import Model
from edgecam_training.options import Options, load_options, save_options
from edgecam_training.penalties import l1_penalty, l2_penalty, penalized_weights
from edgecam_training.seam import add_correlation, drop_correlation, tapped


@dataclass(frozen=True)
class Photos:
    """Decoded photos and their labels."""

    frames: NDArray[np.uint8]  # (n, h, w, 3) BGR
    labels: NDArray[np.int64]  # (n,)


def train(data: Path, run: Path, options: Options, *, resume: bool = False) -> Judged:
    """Train on a folder of photos and leave a run folder. Returns the validation result.

    Raises DataError, TrainingError, OutputError; KeyboardInterrupt once a stopped run is saved.
    """
    # -- the photos
    if resume:
        options = stored_options(run)
    elif (run / "options.json").exists():
        raise TrainingError(
            f"{run} already holds a run.\n"
            f"Go on with it by adding --resume, or choose another folder with --out."
        )
    parse_mixes(options.mix, options.mix_probability)  # a wrong name is told before any photo is read
    split = find_photos(data, val_share=options.val_share, min_photos=options.min_photos, seed=options.seed)
    report_problems(split)
    cv2.setNumThreads(1)
    keep_freed_memory()
    cache_hw = tuple(math.ceil(side * 1.5) for side in options.input_hw)  # room for random crops
    train_set = _photos(split.train, cache_hw)
    val_set = _photos(split.val, options.input_hw)  # exactly what the engine will be given
    fingerprint = _fingerprint(split, options)
    log.print(
        f"{len(split.train)} photos to train on, {len(split.val)} to validate on, "
        f"{len(split.classes)} classes; {options.backbone} with the {options.head} head."
    )

    # -- the network and its optimizer
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(options.seed)
    model = add_correlation(
        Model(
            len(split.classes),
            backbone=options.backbone,
            head=options.head,
            dim=options.dim,
            dropout=options.dropout,
            pretrained=options.pretrained,
            experts=(options.experts, options.experts_kept),
        ),
        options,
    ).to(device, memory_format=torch.channels_last)
    if options.expect:
        model.classify.expect(
            expected_shares(options.expect, split.classes),
            shown=torch.bincount(torch.from_numpy(train_set.labels)) ** (1 - options.balance),
        )
    ema = Ema(model, options.ema)
    optimizer = make_optimizer(model, options)
    start = Position(0, 0)
    if resume and (run / "checkpoint.pt").exists():
        start = load_checkpoint(run / "checkpoint.pt", model, ema, optimizer, fingerprint)
        log.print(f"Going on at epoch {start.epoch + 1}, step {start.step}.")
    # Only now is anything written: settings that do not work leave no run behind, and photos that are
    # not this run's leave it as it was.
    run.mkdir(parents=True, exist_ok=True)
    save_options(options, run / "options.json")
    _save_split(data, split, run / "split.json")
    history = _history_before(run / "history.jsonl", start.epoch)

    # -- the steps
    steps = steps_per_epoch(len(split.train), options.batch)
    with stop_on_signal() as stop, bar() as progress:
        task = progress.add_task(
            "Training", total=options.epochs * steps, completed=start.epoch * steps, note=""
        )
        for epoch in range(start.epoch, options.epochs):
            began, losses = time.perf_counter(), []
            first_step = start.step if epoch == start.epoch else 0
            unfreeze(model, epoch, options)
            batches = epoch_batches(
                train_set.frames,
                train_set.labels,
                hw=options.train_hw(epoch),
                batch=options.batch,
                min_crop=options.min_crop,
                flip_vertical=options.flip_vertical,
                recolour=options.recolour,
                balance=options.balance,
                seed=(options.seed, epoch),
                first_step=first_step,
            )
            for step, batch in enumerate(batches, start=first_step):
                set_rates(
                    optimizer,
                    options,
                    step=epoch * steps + step,
                    total=options.epochs * steps,
                    per_epoch=steps,
                )
                loss = one_step(model, optimizer, _to(batch, device), options, epoch=epoch, step=step)
                ema.update(model)
                losses.append(loss)
                progress.advance(task)
                progress.update(task, note=f"loss {loss:.3f}")
                if stop.asked:
                    batches.close()
                    save_checkpoint(
                        run / "checkpoint.pt", Position(epoch, step + 1), model, ema, optimizer, fingerprint
                    )
                    raise stopped(data, run)
            judged = judge(ema.model, val_set.frames, val_set.labels, split.classes, device)
            seconds = time.perf_counter() - began
            history.append(
                {
                    "epoch": epoch + 1,
                    "train_loss": float(np.mean(losses)) if losses else None,
                    "val_loss": judged.loss,
                    "val_top1": judged.report.top1,
                    "lr_head": optimizer.param_groups[-1]["lr"],
                    "input_hw": list(options.train_hw(epoch)),
                    "seconds": round(seconds, 2),
                    "images_per_s": round(len(losses) * options.batch / seconds, 1),
                }
            )
            _write_history(run / "history.jsonl", history)
            save_checkpoint(run / "checkpoint.pt", Position(epoch + 1, 0), model, ema, optimizer, fingerprint)
            log.print(
                f"epoch {epoch + 1}/{options.epochs}: loss {history[-1]['train_loss'] or math.nan:.3f}, "
                f"val top-1 {judged.report.top1:.1%}, {seconds:.0f} s"
            )
            if stop.asked:  # asked for while the epoch was judged
                raise stopped(data, run)

    # -- what is kept
    from edgecam_training.finish import finish

    judged = judge(ema.model, val_set.frames, val_set.labels, split.classes, device)
    finish(run, drop_correlation(ema.model).cpu(), options, split, val_set.frames, judged, history)
    return judged


def stored_options(run: Path) -> Options:
    """The settings of the run to go on with. Raises TrainingError."""
    if not (run / "options.json").exists():
        raise TrainingError(f"{run} holds no run to go on with.\nStart one there by leaving out --resume.")
    return load_options(run / "options.json")


def stopped(data: Path, run: Path) -> KeyboardInterrupt:
    """Say how to go on with a run that was stopped and saved."""
    log.print(f"Stopped and saved. Go on with:\n    edgecam train {data} --out {run} --resume", markup=False)
    return KeyboardInterrupt()


def one_step(
    model: Model, optimizer: torch.optim.Optimizer, batch: Batch, options: Options, *, epoch: int, step: int
) -> float:
    """One gradient step; returns the loss. All its randomness follows from (seed, epoch, step)."""
    rng = torch.Generator().manual_seed(_seed_of(options.seed, epoch, step))
    torch.manual_seed(_seed_of(options.seed, epoch, step) + 1)  # dropout
    mixed = mix(model, batch, options, rng, clean=epoch >= options.epochs - options.clean_epochs)
    with torch.autocast(batch.frames.device.type, dtype=torch.bfloat16, enabled=batch.frames.is_cuda):
        with tapped(model) as taps, routings(model) as routed:
            features = model(mixed.images)
        loss = mixed_cross_entropy(model.logits(features), mixed, smoothing=options.label_smoothing).mean()
        loss = loss + map_loss(model, features, taps[-1], mixed, options, rng)
    for routing in routed:
        loss = loss + options.expert_balance * load_balance(routing)
    weights = penalized_weights(model)
    if options.l1:
        loss = loss + options.l1 * l1_penalty(weights)
    if options.l2:
        loss = loss + options.l2 * l2_penalty(weights)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
    optimizer.step()
    if not math.isfinite(value := loss.item()):
        raise TrainingError(
            f"The loss became {value} at epoch {epoch + 1}, step {step}: training has diverged.\n"
            f"Start again with a smaller --lr-backbone and --lr-head."
        )
    return value


def mix(model: Model, batch: Batch, options: Options, rng: torch.Generator, *, clean: bool) -> Mixed:
    """The batch by one of the chosen mixes; as it is for the rest and in the last, clean epochs."""
    name = None if clean else pick(parse_mixes(options.mix, options.mix_probability), rng)
    if name is None:
        return unmixed(*batch)
    chosen = MIXES[name]
    given = Given(
        alpha=options.mix_alpha or chosen.alpha,
        per_sample=options.mix_per_sample,
        fill=model.backbone.blank,
        saliency=true_class_maps(model, *batch) if chosen.needs_saliency else None,
    )
    return chosen.run(*batch, given, rng)


def make_optimizer(model: Model, options: Options) -> torch.optim.AdamW:
    """AdamW with a slower rate for the backbone, and no decay on biases and norm gains."""
    decayed = {id(p) for p in penalized_weights(model)}
    groups = []
    for name, module in model.named_children():
        rate = options.lr_backbone if name == "backbone" else options.lr_head
        for decay in (True, False):
            parameters = [p for p in module.parameters() if (id(p) in decayed) == decay]
            groups.append(
                {"params": parameters, "lr": rate, "rate": rate, "weight_decay": options.weight_decay * decay}
            )
    return torch.optim.AdamW(groups, fused=True)


def set_rates(
    optimizer: torch.optim.Optimizer, options: Options, *, step: int, total: int, per_epoch: int
) -> None:
    """Linear warm-up, then a cosine down to zero."""
    warmup = max(1, round(options.warmup_epochs * per_epoch))
    share = (
        (step + 1) / warmup
        if step < warmup
        else 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
    )
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * share


def unfreeze(model: Model, epoch: int, options: Options) -> None:
    """The head learns first, then the last stages with it, then everything but `frozen_stages`.

    What is frozen also keeps its batch statistics: they belong to the weights.
    """
    body = model.backbone.body
    if epoch < options.head_epochs:
        frozen = len(body)
    elif epoch < options.head_epochs + options.last_epochs:
        frozen = max(model.backbone.taps[0] + 1, options.frozen_stages)
    else:
        frozen = options.frozen_stages
    model.train()
    for index, module in enumerate(body):
        module.requires_grad_(index >= frozen)
        module.train(index >= frozen)


def expected_shares(expect: dict[str, float], classes: tuple[str, ...]) -> Tensor:
    """The share of each class in use, (classes,). Raises TrainingError unless exactly they are named."""
    if set(expect) != set(classes):
        raise TrainingError(
            f"--expect names {', '.join(expect)}, but the classes are {', '.join(classes)}.\n"
            f"Give every class its share: --expect {','.join(f'{name}=1' for name in classes[:4])}"
        )
    return torch.tensor([expect[name] for name in classes])


def report_problems(split: Split) -> None:
    """Name every file that was left out."""
    for problem in split.problems:
        log.print(f"left out {problem.path}: {problem.reason}", style="yellow", markup=False)


def _photos(items: list[Item], hw: tuple[int, ...]) -> Photos:
    h, w = hw
    labels = np.array([item.label for item in items], dtype=np.int64)
    return Photos(decode(items, (h, w), cache_folder()), labels)


def _to(batch: Batch, device: torch.device) -> Batch:
    return Batch(batch.frames.to(device), batch.labels.to(device))


def _seed_of(*parts: int) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:6], "big")


def _fingerprint(split: Split, options: Options) -> str:
    digest = hashlib.sha256(json.dumps(asdict(replace(options)), sort_keys=True).encode())
    for item in (*split.train, *split.val):
        digest.update(f"{item.digest}{item.label}".encode())
    return digest.hexdigest()


def _save_split(data: Path, split: Split, path: Path) -> None:
    def listed(items: list[Item]) -> list[dict[str, Any]]:
        return [{"path": str(i.path.resolve()), "label": i.label, "sha256": i.digest} for i in items]

    problems = [{"path": str(p.path), "reason": p.reason} for p in split.problems]
    document = {"data": str(data.resolve()), "classes": split.classes, "train": listed(split.train)}
    write_json(path, {**document, "val": listed(split.val), "problems": problems})


def _history_before(path: Path, epoch: int) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [row for row in map(json.loads, path.read_text().splitlines()) if row["epoch"] <= epoch]


def _write_history(path: Path, history: list[dict[str, Any]]) -> None:
    from edgecam_engines.files import write_atomically

    write_atomically(path, "".join(json.dumps(row) + "\n" for row in history))
