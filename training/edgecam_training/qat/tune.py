"""The epochs in which a trained network learns to be rounded.

The float network stays as it is: the run's FP32 model and the gate's reference. A copy of its weights
learns to give, rounded, the features and maps that the float network gives; INT8 models are made of that
copy. Labels, mixes and second branches take no part: what they taught is in the float network's answers.
"""

import copy
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgecam_engines.console import bar, log
from edgecam_engines.files import write_atomically
from edgecam_engines.signals import stop_on_signal
from edgecam_training.batches import Frames, epoch_batches, steps_per_epoch
from edgecam_training.checkpoint import Alarm, Checkpoint, Position
from edgecam_training.ema import Ema
from edgecam_training.model import Model
from edgecam_training.options import Options
from edgecam_training.qat.compare import distances
from edgecam_training.qat.keep import keep_student
from edgecam_training.qat.lesson import Lesson, freeze_idle, make_optimizer, one_step, set_rates
from edgecam_training.qat.prepare import make_student
from edgecam_training.qat.student import Student

if TYPE_CHECKING:
    from edgecam_training.train import Stage


def learn_rounding(stage: "Stage", teacher: Model, stopped: Callable[[], BaseException]) -> None:
    """Teach a copy of the float network to be rounded, and leave it in the run folder.

    `teacher` is the averaged network, whose weights the leader alone has; it stays as it is. `stopped()`
    says how to go on with a run that was asked to stop, and gives what to raise then.
    """
    team = stage.team
    teacher.load_state_dict(team.told(teacher.state_dict() if team.leads else None))
    student = tune(stage, teacher, stopped)
    if team.leads:
        keep_student(stage.run, student.cpu(), stage.options.input_hw)


def tune(stage: "Stage", teacher: Model, stopped: Callable[[], BaseException]) -> Student:
    """Train `options.qat` epochs; returns the averaged student, in evaluation.

    `teacher` is in evaluation and learns nothing. A stopped run goes on bit by bit as if it had not been.
    Raises TrainingError, OutputError, and what `stopped` gives.
    """
    team, options, photos, val_frames = stage.team, stage.options, stage.photos, stage.val_frames
    run = stage.run
    log.print(f"Calibrating, then {options.qat} epochs of learning to be rounded.")
    student = made(teacher, options, photos.frames, photos.labels).to(team.device)
    lesson = Lesson(student, teacher)
    freeze_idle(lesson, torch.from_numpy(np.array(val_frames[:2])).to(team.device))
    ema = Ema(student, options.ema)
    optimizer = make_optimizer(student, options)
    state = Checkpoint(run / "qat.pt", student, ema, optimizer, _with_weights(stage.fingerprint, teacher))
    start = state.load() if stage.resume and state.path.exists() else Position(0, 0)
    if start != Position(0, 0):
        log.print(f"Going on at epoch {start.epoch + 1} of them, step {start.step}.")
    rows = _rows_before(run / "qat.jsonl", start.epoch)
    if team.leads and start == Position(0, 0):
        rows = [{"epoch": 0, "train_loss": None, "val": _val(student.eval(), teacher, val_frames)}]
        _record(run, rows)

    steps = steps_per_epoch(len(photos.labels), options.batch)
    alarm = Alarm(options.checkpoint_minutes, stage.clock)
    with stop_on_signal() as stop, bar() as progress:
        task = progress.add_task(
            "Rounding", total=options.qat * steps, completed=start.epoch * steps + start.step, note=""
        )
        for epoch in range(start.epoch, options.qat):
            first_step = start.step if epoch == start.epoch else 0
            losses = list(start.losses) if epoch == start.epoch else []
            student.train()
            learner = team.together(lesson)
            batches = epoch_batches(
                photos.frames,
                photos.labels,
                hw=options.input_hw,
                batch=options.batch,
                min_crop=options.min_crop,
                flip_vertical=options.flip_vertical,
                recolour=options.recolour,
                balance=options.balance,
                seed=(options.seed, options.epochs + epoch),
                first_step=first_step,
                part=(team.rank, team.size),
                shards=photos.shards,
                threads=1 if photos.shards is None else os.cpu_count() or 1,
            )
            for step, batch in enumerate(batches, start=first_step):
                set_rates(optimizer, step=epoch * steps + step, total=options.qat * steps)
                n = min(options.batch, len(photos.labels) - step * options.batch)
                whole = team.whole(batch.frames.to(team.device), n)
                losses.append(one_step(learner, student, optimizer, whole, options, team))
                if team.leads:
                    ema.update(student)
                progress.advance(task)
                progress.update(task, note=f"loss {losses[-1]:.3f}")
                asked = team.total(stop.asked) > 0
                if team.leads and (asked or alarm.due()):
                    state.save(Position(epoch, step + 1, tuple(losses)))
                    alarm.restart()
                if asked:
                    batches.close()
                    raise stopped()
            if team.leads:
                loss = float(np.mean(losses)) if losses else None
                averaged = _as_student(ema)
                rows.append(
                    {"epoch": epoch + 1, "train_loss": loss, "val": _val(averaged, teacher, val_frames)}
                )
                _record(run, rows)
                state.save(Position(epoch + 1, 0))
            if team.total(stop.asked) > 0:  # asked for while the epoch was judged
                raise stopped()
    return _as_student(ema)


def made(teacher: Model, options: Options, frames: Frames, labels: NDArray[np.int64]) -> Student:
    """The student at its start, on the CPU. `frozen_stages` keep their weights here too."""
    plain = copy.deepcopy(teacher).cpu().eval()
    student = make_student(plain, frames, labels, options.input_hw, ranges=options.qat_ranges)
    student.model.requires_grad_(True)
    student.model.classify.requires_grad_(False)  # shared with the float network
    for stage in student.model.backbone.body[: options.frozen_stages]:
        stage.requires_grad_(False)
    return student


def _as_student(ema: Ema) -> Student:
    assert isinstance(ema.model, Student)
    return ema.model


def _val(student: Student, teacher: Model, frames: NDArray[np.uint8]) -> list[dict[str, Any]]:
    return [d._asdict() for d in distances(student, teacher, frames)]


def _record(run: Path, rows: list[dict[str, Any]]) -> None:
    """Keep the history, and say how its last epoch went."""
    write_atomically(run / "qat.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    row = rows[-1]
    begun = "before" if row["train_loss"] is None else f"epoch {row['epoch']}: loss {row['train_loss']:.4f}"
    for d in row["val"]:
        log.print(
            f"{begun}, {d['kind']}: agreement {d['agreement']:.1%}, CAM IoU {d['cam_iou']:.3f} "
            f"(10th percentile {d['cam_iou_p10']:.3f})"
        )


def _rows_before(path: Path, epoch: int) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [row for row in map(json.loads, path.read_text().splitlines()) if row["epoch"] <= epoch]


def _with_weights(fingerprint: str, teacher: Model) -> str:
    """The photos and settings, and the float network that all is about."""
    digest = hashlib.sha256(fingerprint.encode())
    for tensor in teacher.state_dict().values():
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
