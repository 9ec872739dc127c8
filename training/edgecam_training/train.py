"""The trainer. Reads top to bottom: photos, network, optimizer, steps, and what is kept of them."""

import json
import math
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

from edgecam_engines.console import bar, log
from edgecam_engines.files import write_atomically
from edgecam_engines.signals import stop_on_signal
from edgecam_training.allocator import keep_freed_memory
from edgecam_training.batches import Batch, steps_per_epoch
from edgecam_training.begin import (
    Photos,
    batches_in,
    fingerprint,
    labels_of,
    make_model,
    prepared,
    save_split,
    to_learn_from,
)
from edgecam_training.checkpoint import Alarm, Checkpoint, Position, sweep
from edgecam_training.data import Split, cache_folder, decode
from edgecam_training.distributed import Team, joined
from edgecam_training.ema import Ema
from edgecam_training.forecast import announce
from edgecam_training.init import begun_with
from edgecam_training.judge import Judged, judge
from edgecam_training.keep import kept
from edgecam_training.model import Model
from edgecam_training.optimizer import make_optimizer, set_rates, unfreeze
from edgecam_training.options import Options, save_options
from edgecam_training.pretrained import blend_pretrained
from edgecam_training.seam import drop_correlation
from edgecam_training.share import share_maps
from edgecam_training.step import Learner, one_step


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
    log.print(
        f"{len(split.train)} photos to train on, {len(split.val)} to validate on, "
        f"{len(split.classes)} classes; {options.backbone} with the {options.head} head."
    )

    # -- the network and its optimizer
    model = begun_with(options, make_model(options, split.classes, train_set.labels), split).to(
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
    if options.tune and team.leads:
        announce(model, train_set, val_frames, options, team, epochs_done=start.epoch, run=run, clock=clock)

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
            batches = batches_in(
                train_set, options, epoch, first_step=first_step, part=(team.rank, team.size)
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
                judged = judge(
                    ema.model,
                    val_frames,
                    labels_of(split.val),
                    split.classes,
                    team.device,
                    batch=options.judge_batch,
                )
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
    judged = judge(
        model, stage.val_frames, labels_of(split.val), split.classes, device, batch=options.judge_batch
    )
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


def _history_before(path: Path, epoch: int) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [row for row in map(json.loads, path.read_text().splitlines()) if row["epoch"] <= epoch]


def _pace(photos: int, seconds: float) -> dict[str, float]:
    return {"seconds": round(seconds, 2), "images_per_s": round(photos / seconds, 1)}
