"""The trainer. Reads top to bottom: photos, network, optimizer, steps, and what is kept of them."""

import hashlib
import json
import math
import os
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgecam_engines.console import bar, log
from edgecam_engines.errors import TrainingError
from edgecam_engines.files import write_atomically
from edgecam_engines.signals import stop_on_signal
from edgecam_training.allocator import keep_freed_memory
from edgecam_training.batches import Batch, epoch_batches, steps_per_epoch
from edgecam_training.begin import (
    Photos,
    fingerprint,
    labels_of,
    make_model,
    prepared,
    save_split,
    to_learn_from,
)
from edgecam_training.checkpoint import Alarm, Checkpoint, Position, sweep
from edgecam_training.data import Split, cache_folder, decode
from edgecam_training.distributed import ALONE, Team, joined, without_sync
from edgecam_training.ema import Ema
from edgecam_training.heads import load_balance, routings
from edgecam_training.init import begun_with
from edgecam_training.judge import Judged, judge
from edgecam_training.keep import kept
from edgecam_training.losses import mixed_cross_entropy
from edgecam_training.map_losses import map_loss
from edgecam_training.mixing import MIXES, Given, Mixed, parse_mixes, pick, unmixed
from edgecam_training.mixing.saliency import true_class_maps
from edgecam_training.model import Model
from edgecam_training.options import Options, save_options
from edgecam_training.penalties import l1_penalty, l2_penalty, penalized_weights
from edgecam_training.pretrained import blend_pretrained
from edgecam_training.seam import drop_correlation, tapped
from edgecam_training.share import share_maps


@dataclass(frozen=True)
class Stage:
    """What every stage of a run works with."""

    team: Team
    options: Options
    photos: Photos  # to learn from
    val_frames: NDArray[np.uint8]  # (n, h, w, 3)
    run: Path
    fingerprint: str  # of the photos and settings
    resume: bool
    clock: Callable[[], float]


def train(
    data: Path,
    run: Path,
    options: Options,
    *,
    val: Path | None = None,
    resume: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Judged:
    """Train on photos, in folders or shards, and leave a run folder. Returns the validation result.

    Under torchrun, with all its processes; those on other machines see data and run at the same places.
    Raises DataError, TrainingError, OutputError; KeyboardInterrupt once a stopped run is saved.
    """
    with joined() as team:
        return train_with(team, data, run, options, val=val, resume=resume, clock=clock)


def train_with(
    team: Team,
    data: Path,
    run: Path,
    options: Options,
    *,
    val: Path | None,
    resume: bool,
    clock: Callable[[], float],
) -> Judged:
    """What each process of the team does; only the leader writes, judges and is heard."""
    # -- the photos
    options, split = team.told(prepared(data, val, run, options, resume=resume) if team.leads else None)
    cv2.setNumThreads(1)
    keep_freed_memory()
    with team.one_first():  # it decodes what the others then find done
        train_set = to_learn_from(split.train, options.input_hw)
        val_frames = decode(split.val, options.input_hw, cache_folder())  # just as the engine will see them
    val_labels = labels_of(split.val)
    log.print(
        f"{len(split.train)} photos to train on, {len(split.val)} to validate on, "
        f"{len(split.classes)} classes; {options.backbone} with the {options.head} head."
    )

    # -- the network and its optimizer
    model = begun_with(options.init, make_model(options, split.classes, train_set.labels), split).to(
        team.device, memory_format=torch.channels_last
    )
    ema = Ema(model, options.ema)
    team.sync_norms(model)
    optimizer = make_optimizer(model, options)
    checkpoint = Checkpoint(run / "checkpoint.pt", model, ema, optimizer, fingerprint(split, options))
    start = began_at(checkpoint, resume=resume)
    # Only now is anything written: settings that do not work leave no run behind, and photos that are
    # not this run's leave it as it was.
    if team.leads:
        run.mkdir(parents=True, exist_ok=True)
        sweep(run)
        save_options(options, run / "options.json")
        save_split(data, kept(split, run / "photos"), run / "split.json")
    history = _history_before(run / "history.jsonl", start.epoch)

    # -- the steps
    steps = steps_per_epoch(len(split.train), options.batch)
    alarm = Alarm(options.checkpoint_minutes, clock)
    with stop_on_signal() as stop, bar() as progress:
        task = progress.add_task(
            "Training", total=options.float_epochs * steps, completed=start.epoch * steps, note=""
        )
        for epoch in range(start.epoch, options.float_epochs):
            here = start if epoch == start.epoch else Position(epoch, 0)
            began, losses, first_step = clock(), list(here.losses), here.step
            unfreeze(model, epoch, options)
            learner = team.together(Learner(model, options))
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
                part=(team.rank, team.size),
                shards=train_set.shards,
                threads=1 if train_set.shards is None else os.cpu_count() or 1,
            )
            for step, batch in enumerate(batches, start=first_step):
                set_rates(
                    optimizer,
                    options,
                    step=epoch * steps + step,
                    total=options.float_epochs * steps,
                    per_epoch=steps,
                )
                n = min(options.batch, len(split.train) - step * options.batch)
                whole = Batch(*(team.whole(tensor.to(team.device), n) for tensor in batch))
                loss = one_step(
                    model, optimizer, whole, options, epoch=epoch, step=step, team=team, learner=learner
                )
                if team.leads:
                    ema.update(model)
                losses.append(loss)
                progress.advance(task)
                progress.update(task, note=f"loss {loss:.3f}")
                asked = team.total(stop.asked) > 0
                if team.leads and (asked or alarm.due()):
                    checkpoint.save(Position(epoch, step + 1, tuple(losses)))
                    alarm.restart()
                if asked:
                    batches.close()
                    raise stopped(team, data, val, run)
            if team.leads:
                judged = judge(ema.model, val_frames, val_labels, split.classes, team.device)
                history.append(
                    {
                        "epoch": epoch + 1,
                        "train_loss": float(np.mean(losses)) if losses else None,
                        "val_loss": judged.loss,
                        "val_top1": judged.report.top1,
                        "lr_head": optimizer.param_groups[-1]["lr"],
                        "input_hw": list(options.train_hw(epoch)),
                        **_pace((len(losses) - first_step) * options.batch, clock() - began),
                    }
                )
                record(run, history, options.float_epochs)
                checkpoint.save(Position(epoch + 1, 0))
            if team.total(stop.asked) > 0:  # asked for while the epoch was judged
                raise stopped(team, data, val, run)

    if team.leads:
        blend_pretrained(ema.model, options.backbone, options.blended)

    # -- learning to be rounded
    stage = Stage(team, options, train_set, val_frames, run, checkpoint.fingerprint, resume, clock)
    if options.qat:
        from edgecam_training.qat import learn_rounding

        learn_rounding(stage, drop_correlation(ema.model), partial(stopped, team, data, val, run))

    if not team.leads:
        return team.told(None)
    return team.told(keep(ema.model, stage, split, history))


def keep(model: Model, stage: Stage, split: Split, history: list[dict[str, Any]]) -> Judged:
    """Complete the network with what its maps share, judge it, and leave everything in the run folder."""
    from edgecam_training.finish import finish

    options, photos, device = stage.options, stage.photos, stage.team.device
    share_maps(
        model,
        photos.frames,
        photos.labels,
        options.input_hw,
        strength=options.shared_map,
        seed=options.seed,
        device=device,
    )
    judged = judge(model, stage.val_frames, labels_of(split.val), split.classes, device)
    finish(stage.run, drop_correlation(model).cpu(), options, split, stage.val_frames, judged, history)
    return judged


def began_at(checkpoint: Checkpoint, *, resume: bool) -> Position:
    """Where to go on: at the checkpoint, whose state is put back, or at the very start."""
    if not (resume and checkpoint.path.exists()):
        return Position(0, 0)
    start = checkpoint.load()
    log.print(f"Going on at epoch {start.epoch + 1}, step {start.step}.")
    return start


def record(run: Path, history: list[dict[str, Any]], epochs: int) -> None:
    """Keep the history, and say how its last epoch went."""
    write_atomically(run / "history.jsonl", "".join(json.dumps(row) + "\n" for row in history))
    row = history[-1]
    log.print(
        f"epoch {row['epoch']}/{epochs}: loss {row['train_loss'] or math.nan:.3f}, "
        f"val top-1 {row['val_top1']:.1%}, {row['seconds']:.0f} s"
    )


def stopped(team: Team, data: Path, val: Path | None, run: Path) -> BaseException:
    """Say how to go on with a run that was stopped and saved."""
    team.wait()  # whoever ends first has torchrun end the others, and the leader may still be writing
    if not team.leads:
        return SystemExit(130)
    start = f"torchrun --nproc-per-node {team.size} -m edgecam" if team.size > 1 else "edgecam"
    places = [str(data), *(["--val", str(val)] if val else []), "--out", str(run)]
    log.print(
        f"Stopped and saved. Go on with:\n    {start} train {shlex.join(places)} --resume", markup=False
    )
    return KeyboardInterrupt()


class Learner(nn.Module):
    """The loss as a module's output: DistributedDataParallel watches what passes through `forward`."""

    def __init__(self, model: Model, options: Options) -> None:
        super().__init__()
        self.model = model
        self.options = options

    def forward(self, mixed: Mixed, *, seed: int) -> Tensor:
        return loss_of(self.model, mixed, self.options, seed=seed)


def one_step(
    model: Model,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    options: Options,
    *,
    epoch: int,
    step: int,
    team: Team = ALONE,
    learner: nn.Module | None = None,
) -> float:
    """One gradient step; returns the loss. All its randomness follows from (seed, epoch, step).

    Every process mixes the whole batch alike, then works on its own parts of it. A part counts by its
    share of the batch, so the gradient is that of the mean over the batch, however the parts differ.
    """
    rng = torch.Generator().manual_seed(_seed_of(options.seed, epoch, step))
    mixed = mix(model, batch, options, rng, clean=epoch >= options.float_epochs - options.clean_epochs)
    learner = learner or Learner(model, options)
    optimizer.zero_grad()
    value = seen = 0.0
    parts = own_parts(len(batch.labels), options.accumulate, team)
    for part in parts:
        torch.manual_seed(_seed_of(options.seed, epoch, step) + 1 + part)  # dropout
        some, share = taken(mixed, part, of=team.size * options.accumulate)
        with without_sync(learner, part != parts[-1]):
            loss = learner(some, seed=_seed_of(options.seed, epoch, step) + 1) * share
            (loss * team.size).backward()  # the processes' gradients are averaged
        value, seen = value + loss.item(), seen + share
    team.average_statistics(model, seen)
    torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
    optimizer.step()
    if not math.isfinite(value := team.total(value)) and team.leads:
        raise TrainingError(
            f"The loss became {value} at epoch {epoch + 1}, step {step}: training has diverged.\n"
            f"Start again with a smaller --lr-backbone and --lr-head."
        )
    return value


def own_parts(n: int, accumulate: int, team: Team) -> list[int]:
    """The numbers of this process's parts of a batch of n. All have at least one, if need be an empty one."""
    numbers = range(team.rank, team.size * accumulate, team.size)
    return [number for number in numbers if number < n] or [numbers[0]]


def taken(mixed: Mixed, part: int, *, of: int) -> tuple[Mixed, float]:
    """Places part, part + of, ... of a batch, and their share of it. For an empty part a photo that counts 0.

    Taken at intervals, the first photos of every part are the first of the batch, which SEAM looks at.
    """
    n = len(mixed.first)
    places = slice(part, None, of) if part < n else slice(0, 1)

    def own(field: Tensor | None) -> Tensor | None:
        return field if field is None or len(field) < n else field[places]  # one mask may serve the batch

    some = Mixed(*map(own, mixed))
    return some, len(some.first) / n if part < n else 0.0


def loss_of(model: Model, mixed: Mixed, options: Options, *, seed: int) -> Tensor:
    """The mean loss over the photos given, with its penalties; a scalar. `seed` draws SEAM's second view."""
    with torch.autocast(mixed.images.device.type, dtype=torch.bfloat16, enabled=mixed.images.is_cuda):
        with tapped(model) as taps, routings(model) as routed:
            features = model(mixed.images)
        loss = mixed_cross_entropy(model.logits(features), mixed, smoothing=options.label_smoothing).mean()
        loss = loss + map_loss(model, features, taps[-1], mixed, options, torch.Generator().manual_seed(seed))
    for routing in routed:
        loss = loss + options.expert_balance * load_balance(routing)
    weights = penalized_weights(model)
    if options.l1:
        loss = loss + options.l1 * l1_penalty(weights)
    if options.l2:
        loss = loss + options.l2 * l2_penalty(weights)
    return loss


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


def _seed_of(*parts: int) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:6], "big")


def _history_before(path: Path, epoch: int) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [row for row in map(json.loads, path.read_text().splitlines()) if row["epoch"] <= epoch]


def _pace(photos: int, seconds: float) -> dict[str, float]:
    return {"seconds": round(seconds, 2), "images_per_s": round(photos / seconds, 1)}
