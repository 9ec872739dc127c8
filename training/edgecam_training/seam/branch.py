"""SEAM's second branch: a part of the batch once more, transformed, and what the two say of each other.

Source: Wang et al., arXiv:2004.04581. There PCM refines the maps that are used in the end, and since its
input is detached, the cross and min-pooling losses train PCM alone. Here PCM is left behind and the plain
maps are used, so one more loss (`distil`) lets them learn from the refined ones.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgecam_training.losses import mixed_cross_entropy
from edgecam_training.mixing import Mixed
from edgecam_training.model import Model
from edgecam_training.options import Options
from edgecam_training.seam.correlation import PixelCorrelation
from edgecam_training.seam.losses import cross_loss, equivariance_loss, min_pooling_loss
from edgecam_training.seam.maps import and_background, cells, normalised, with_background
from edgecam_training.seam.transforms import TRANSFORMS, Transform

Taps = tuple[Tensor, Tensor]  # the backbone's features at stride 16 and 32


class Branch(NamedTuple):
    """One view of the pictures, and what the network made of it."""

    frames: Tensor  # (n, H, W, 3) uint8
    cams: Tensor  # (n, k, h, w) raw maps
    taps: Taps


@contextmanager
def tapped(model: Model) -> Iterator[list[Taps]]:
    """What the backbone gives inside, one entry a pass: PCM looks at it, and nobody else returns it."""
    seen: list[Taps] = []
    handle = model.backbone.register_forward_hook(lambda *given: seen.append(given[-1]))
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def statistics_kept(net: nn.Module) -> Iterator[None]:
    """Batches seen inside leave no mark on BatchNorm's running statistics.

    The second branch sees few and transformed pictures. Running last in each step, it would make up half
    of the statistics, and a network judged with those answers otherwise than it was trained.
    """
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def add_correlation(model: Model, options: Options) -> Model:
    """The network with its PCM as `model.pcm`, so that optimizer, average and checkpoint hold it too."""
    if options.seam_pcm != "none":
        model.pcm = PixelCorrelation(model.backbone.channels, linear=options.seam_pcm == "linear")
    return model


def drop_correlation(model: Model) -> Model:
    """The network without its PCM: what is kept in the end."""
    if hasattr(model, "pcm"):
        del model.pcm
    return model


def first_of(mixed: Mixed, n: int) -> Mixed:
    """The first n pictures with all that belongs to them. The order of a batch is random already."""
    return mixed._replace(**{name: part[:n] for name, part in mixed._asdict().items() if part is not None})


def seam_loss(
    model: Model,
    features: Tensor,
    taps: Taps,
    mixed: Mixed,
    present: Tensor,
    options: Options,
    rng: torch.Generator,
) -> Tensor:
    """The weighted sum of SEAM's losses over `seam_share` of the batch, a scalar.

    features (n, d, h, w) and taps are the first branch's, present (n, k) in {0, 1}.
    """
    n = max(1, math.ceil(len(mixed.images) * options.seam_share))
    mixed, present = first_of(mixed, n), present[:n]
    hw = (mixed.images.shape[1], mixed.images.shape[2])
    transform = TRANSFORMS[options.seam_transform](hw, options.seam_scale, rng)
    frames = transform.frames(mixed.images)
    with statistics_kept(model), tapped(model) as seen:
        other_features = model(frames)
    one = Branch(mixed.images, model.cams(features[:n]), (taps[0][:n], taps[1][:n]))
    other = Branch(frames, model.cams(other_features), seen[-1])
    losses = branch_losses(one, other, present, transform, pcm=getattr(model, "pcm", None))
    total = features.new_zeros(())
    for name, weight in weights(options).items():
        if weight:
            total = total + weight * losses[name].mean()
    if options.seam_cls:
        logits = model.logits(other_features)
        loss = mixed_cross_entropy(logits, mixed, smoothing=options.label_smoothing)
        total = total + options.seam_cls * loss.mean()
    return total


def weights(options: Options) -> dict[str, float]:
    """What each of branch_losses counts."""
    return {name: getattr(options, name) for name in ("er", "ecr", "rvmin", "distil")}


def branch_losses(
    one: Branch, other: Branch, present: Tensor, transform: Transform, *, pcm: PixelCorrelation | None
) -> dict[str, Tensor]:
    """Every loss between two branches by name, each (n,).

    Without PCM the branches' own maps stand for the refined ones, and there is nothing to distil.
    """
    valid = transform.valid((other.cams.shape[2], other.cams.shape[3]))
    plain = _seen_by_both(one.cams, other.cams, present, transform, valid)
    grounded = with_background(plain[0]), with_background(plain[1])
    losses = {"er": equivariance_loss(*plain, present)}
    if pcm is None:
        low = min_pooling_loss(plain[0]) + min_pooling_loss(plain[1])
        return {**losses, "ecr": cross_loss(grounded, grounded), "rvmin": low / 2}
    spread = [pcm(branch.cams, present, branch.frames, branch.taps) for branch in (one, other)]
    refined = _seen_by_both(spread[0], spread[1], and_background(present), transform, valid)
    low = min_pooling_loss(spread[0][:, 1:].flatten(2)) + min_pooling_loss(cells(spread[1][:, 1:], valid))
    return {
        **losses,
        "ecr": cross_loss(grounded, refined),
        "rvmin": low / 2,
        "distil": cross_loss(refined, grounded),
    }


def _seen_by_both(
    one: Tensor, other: Tensor, present: Tensor, transform: Transform, valid: Tensor
) -> tuple[Tensor, Tensor]:
    """Both branches' maps scaled to [0, 1], the first brought to where the second has them."""
    moved = transform.maps(normalised(one, present))
    return cells(moved, valid), cells(normalised(other, present), valid)
