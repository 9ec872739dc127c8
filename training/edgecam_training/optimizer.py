"""What moves the network: AdamW, its rates step by step, and which parts learn when."""

import math

import torch

from edgecam_training.model import Model
from edgecam_training.options import Options
from edgecam_training.penalties import penalized_weights
from edgecam_training.tuning import let_learn


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

    What is frozen also keeps its batch statistics: they belong to the weights. A run that goes on from a
    finished network has a part of it learn, all the time.
    """
    if options.tune:
        let_learn(model, options.tune)
        return
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
