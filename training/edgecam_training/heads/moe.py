"""A sparse mixture of experts as a head, in a form whose maps stay exact and whose graph stays static."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from edgecam_training.heads.plain import PlainHead

NOT_KEPT: Final = -1e4  # a logit whose softmax is exactly zero, in FP16 too


class Routing(NamedTuple):
    """What a router decided, token by token."""

    gates: Tensor  # (n, experts, h, w), 0 for those not kept, the others sum to 1
    logits: Tensor  # (n, experts, h, w) float32, without noise
    threshold: Tensor  # (n, 1, h, w), the least logit, with noise, that was kept


class Router(nn.Module):
    """Choose the best `kept` experts for every token, (n, d, h, w) -> Routing.

    The gates are a softmax over the kept logits alone, which equals the softmax over all, cut off and
    renormalised, without a division. Experts that tie for the last place are all kept, so the order of
    experts never matters, and a rounding to INT8 that makes a tie blends instead of flipping.
    While training, noise of 1 / experts on the logits lets those nearly chosen have a turn.
    Source: V-MoE, arXiv:2106.05974, which does not renormalise.
    """

    def __init__(self, dim: int, experts: int, kept: int) -> None:
        super().__init__()
        self.kept = kept
        self.score = nn.Conv2d(dim, experts, 1)

    def forward(self, x: Tensor) -> Routing:
        logits = self.score(x).float()
        noisy = logits + torch.randn_like(logits) / logits.shape[1] if self.training else logits
        threshold = noisy.topk(self.kept, dim=1).values[:, -1:]
        gates = noisy.masked_fill(noisy < threshold, NOT_KEPT).softmax(dim=1)
        return Routing(gates.to(x.dtype), logits, threshold)


class MoEHead(PlainHead):
    """PlainHead whose tokens pass through a mixture of linear experts A_e, chosen token by token.

    features = norm(sum_e G_e A_e x). The usual mixture of classifiers has W_eff = sum_e G_e W_e and the map
    W_eff x. Here the experts share the class head as their last factor: W_e = W A_e, so the map of a class,
    W sum_e G_e A_e x, is that W_eff x, up to the norm's scale and shift, with W outside. That way the mixture
    is part of the features and the class head stays a matrix of numbers that can be exchanged without a new
    engine; mean(CAM) + b == logits holds for any gates, since nothing non-linear follows the experts. Gates
    belong to a token and not to the photo, so that evidence stays where it stands.
    All experts run, as one convolution over the gated copies of the tokens: sum_e A_e (G_e x). Sending each
    token to its own experts would need NonZero and shapes that depend on data; at this size it saves nothing.
    """

    def __init__(self, channels: tuple[int, int], dim: int, experts: int = 4, kept: int = 2) -> None:
        super().__init__(channels, dim)
        self.router = Router(dim, experts, kept)
        self.experts = nn.Conv2d(experts * dim, dim, 1, bias=False)  # [A_1 ... A_E] side by side
        # Each starts as the identity and a little of its own, so that the untrained head is nearly plain.
        start = torch.eye(dim).repeat(1, experts) + torch.randn(dim, experts * dim) * 0.1 * dim**-0.5
        self.experts.weight.data.copy_(start[:, :, None, None])

    def forward(self, f16: Tensor, f32: Tensor) -> Tensor:
        x = self.tokens(f16, f32)
        return self.out(self.mix(x, self.router(x).gates))

    def mix(self, x: Tensor, gates: Tensor) -> Tensor:
        """sum_e gates_e A_e x; (n, d, h, w), (n, experts, h, w) -> (n, d, h, w)."""
        _, d, h, w = x.shape
        gated = gates[:, :, None] * x[:, None]  # (n, experts, d, h, w)
        return self.experts(gated.reshape(-1, gates.shape[1] * d, h, w))


@contextmanager
def routings(model: nn.Module) -> Iterator[list[Routing]]:
    """Collect what the routers in `model` decide in every forward pass inside; nothing without routers."""
    found: list[Routing] = []
    hooks = [
        module.register_forward_hook(lambda _module, _given, made: found.append(made))
        for module in model.modules()
        if isinstance(module, Router)
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def load_balance(routing: Routing) -> Tensor:
    """How unevenly a batch uses the experts, a scalar; 0 when they share it alike.

    Half the importance loss, CV^2 over e of sum_x softmax(logits)_e, and half the load loss, CV^2 of
    sum_x P(e is kept) under the router's noise. CV is the standard deviation over the mean. Source: V-MoE,
    arXiv:2106.05974, after arXiv:1701.06538.
    """
    logits = routing.logits
    chances = torch.special.ndtr((logits - routing.threshold) * logits.shape[1])
    return 0.5 * (imbalance(logits.softmax(dim=1)) + imbalance(chances))


def imbalance(shares: Tensor) -> Tensor:
    """CV^2 over the experts of their sums, (n, experts, h, w) -> scalar, from 0 to experts - 1."""
    sums = shares.sum(dim=(0, 2, 3))
    return sums.var(unbiased=False) / sums.mean() ** 2
