"""One gradient step: a batch is mixed, its loss taken, and the network moved."""

import hashlib
import math
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from edgecam_engines.errors import TrainingError
from edgecam_training.batches import Batch
from edgecam_training.distributed import ALONE, Team, without_sync
from edgecam_training.heads import load_balance, routings
from edgecam_training.lean import Lean
from edgecam_training.losses import mixed_cross_entropy
from edgecam_training.map_losses import map_loss
from edgecam_training.mixing import MIXES, Given, Mixed, parse_mixes, pick, unmixed
from edgecam_training.mixing.saliency import true_class_maps
from edgecam_training.model import Model
from edgecam_training.options import Options
from edgecam_training.penalties import l1_penalty, l2_penalty, penalized_weights
from edgecam_training.seam import tapped


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
    with (
        torch.autocast(mixed.images.device.type, dtype=torch.bfloat16, enabled=mixed.images.is_cuda),
        # Not with save_memory: what is computed again would then be computed in another way.
        Lean() if options.tune == "bias" and not options.save_memory else nullcontext(),
    ):
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


def _seed_of(*parts: int) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:6], "big")
