"""One step of learning to be rounded."""

import math

import torch
from torch import Tensor, nn

from edgecam_engines.errors import TrainingError
from edgecam_training.distributed import ALONE, Team, without_sync
from edgecam_training.model import Model
from edgecam_training.options import Options
from edgecam_training.qat.losses import lesson_error
from edgecam_training.qat.student import Student


class Lesson(nn.Module):
    """The student's error against the teacher; every profile has an equal share of the photos."""

    def __init__(self, student: Student, teacher: Model) -> None:
        super().__init__()
        self.student, self.teacher = student, teacher

    def forward(self, frames: Tensor) -> Tensor:
        """uint8 (n, h, w, 3) -> the mean of the errors, a scalar."""
        kinds = self.student.kinds
        with torch.no_grad():
            wanted = self.teacher(frames)
            head = self.teacher.classify.effective()
        errors = []
        for i, kind in enumerate(kinds):
            own = slice(i, None, len(kinds)) if len(frames) >= len(kinds) else slice(None)
            errors.append(lesson_error(*head, self.student(frames[own], kind), wanted[own]))
        return torch.cat(errors).mean()


def make_optimizer(student: Student, options: Options) -> torch.optim.AdamW:
    """AdamW without decay: weights at `qat_lr`, ranges at a rate that suits their logarithms."""
    weights = [p for p in student.model.parameters() if p.requires_grad]
    ranges = [p for p in student.ranges.parameters() if p.requires_grad]
    groups = [
        {"params": weights, "lr": options.qat_lr, "rate": options.qat_lr},
        {"params": ranges, "lr": options.qat_lr_ranges, "rate": options.qat_lr_ranges},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=0.0)


def set_rates(optimizer: torch.optim.Optimizer, *, step: int, total: int) -> None:
    """A short warm-up, in which Adam learns how steep things are, then a cosine down to zero."""
    share = min(1, (step + 1) / 5) * 0.5 * (1 + math.cos(math.pi * step / total))
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * share


def one_step(
    lesson: nn.Module,
    student: Student,
    optimizer: torch.optim.Optimizer,
    frames: Tensor,
    options: Options,
    team: Team = ALONE,
) -> float:
    """One gradient step on a whole batch, uint8 (n, h, w, 3); returns the loss.

    Every process works on its own parts of it, each of which counts by its share.
    """
    optimizer.zero_grad()
    n, of, value = len(frames), team.size * options.accumulate, 0.0
    parts = [p for p in range(team.rank, of, team.size) if p < n] or [team.rank]
    for part in parts:
        some = frames[part::of] if part < n else frames[:1]
        share = len(some) / n if part < n else 0.0  # a process without a photo takes part all the same
        with without_sync(lesson, part != parts[-1]):
            loss = lesson(some) * share
            (loss * team.size).backward()
        value += loss.item()
    torch.nn.utils.clip_grad_norm_(student.parameters(), options.clip_norm)
    optimizer.step()
    team.average([p for p in student.ranges.parameters() if not p.requires_grad])
    if not math.isfinite(value := team.total(value)) and team.leads:
        raise TrainingError(
            f"The loss became {value} while learning to be rounded.\n"
            f"Start again with a smaller --qat-lr; the float network is not touched by it."
        )
    return value


def freeze_idle(lesson: Lesson, frames: Tensor) -> None:
    """Let nothing learn that no profile's graph reads, as several processes must agree on what does."""
    lesson(frames).backward()
    for parameter in lesson.student.parameters():
        parameter.requires_grad_(parameter.requires_grad and parameter.grad is not None)
        parameter.grad = None
