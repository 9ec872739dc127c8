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
        whole = zero.detach().round()
        y = torch.fake_quantize_per_tensor_affine(x, scale.detach(), whole.int(), low, high)
        ctx.save_for_backward(x, y, scale)
        ctx.range = (low - whole) * scale, (high - whole) * scale
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        (grad,) = grads
        x, y, scale = ctx.saved_tensors
        bottom, top = ctx.range
        inside = (x >= bottom) & (x <= top)
        passed = grad * inside
        by_scale = (grad * torch.where(inside, y - x, y)).sum() / scale
        by_zero = (passed.sum() - grad.sum()) * scale
        return passed, by_scale.view_as(scale), by_zero.view_as(scale), None, None


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
