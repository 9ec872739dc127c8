"""Rounding as an INT8 engine rounds, with gradients that pass through it."""

from typing import Any

import torch
from torch import Tensor

INT32_STEPS = 2**32 - 2  # over the range in which ONNX Runtime's quantizer keeps a bias


class FakeQuantize(torch.autograd.Function):
    """clip(round(x / s) + z, low, high) - z, times s; x of any shape, s and z of one number each.

    d/dx is 1 inside the range and 0 outside. d/ds is round(x / s) - x / s inside and low - z or high - z
    outside; d/dz is 0 inside and -s outside. z is rounded first, as if that were nothing.
    Source: LSQ, arXiv:1902.08153, and LSQ+, arXiv:2004.09576.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero: Tensor, low: int, high: int) -> Tensor:
        whole, step = round(zero.item()), scale.item()
        # Four passes in place: torch.fake_quantize_per_tensor_affine takes four times as long on a CPU.
        y = x.div(scale.detach()).round_().clamp_(low - whole, high - whole).mul_(scale.detach())
        ctx.save_for_backward(x, y)
        ctx.grid = step, (low - whole) * step, (high - whole) * step
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        (grad,), (x, y) = grads, ctx.saved_tensors
        step, bottom, top = ctx.grid
        passed = torch.ops.aten.hardtanh_backward(grad, x, bottom, top)
        by_scale = (_dot(grad, y) - _dot(passed, x)) / step
        by_zero = (passed.sum() - grad.sum()) * step
        return passed, by_scale, by_zero, None, None


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """The sum of all products; channels go last, where they lie in memory."""
    return torch.dot(*(t.movedim(1, -1).reshape(-1) if t.ndim == 4 else t.reshape(-1) for t in (a, b)))


def fake_quantize(x: Tensor, scale: Tensor, zero: Tensor, low: int, high: int) -> Tensor:
    """See FakeQuantize."""
    return FakeQuantize.apply(x, scale, zero, low, high)  # type: ignore[no-any-return, no-untyped-call]


def fake_weight(weight: Tensor, scale: Tensor) -> Tensor:
    """A weight (out, ...) in signed steps of `scale` (out,), which reaches to its largest magnitude."""
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -128, 127)


@torch.no_grad()
def weight_scale(weight: Tensor, steps: int) -> Tensor:
    """What the quantizer takes for a weight (out, ...): the largest magnitude in `steps` steps, (out,)."""
    scale = weight.flatten(1).abs().amax(dim=1) / steps
    return torch.where(scale < torch.finfo(scale.dtype).tiny, 1.0, scale)


@torch.no_grad()
def room_for_bias(scale: Tensor, bias: Tensor, input_scale: Tensor) -> Tensor:
    """A weight's scales, (out,), raised where the bias would not fit 32 bits at input scale times them."""
    return torch.maximum(scale, 1.0001 * 2 * bias.abs() / INT32_STEPS / input_scale)


def fake_bias(bias: Tensor, scale: Tensor) -> Tensor:
    """A bias (out,) in steps of `scale` (out,); the gradient passes as if it were not rounded."""
    return bias + ((bias / scale).round() * scale - bias).detach()
