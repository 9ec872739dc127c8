"""Layers whose weights stay: they keep nothing for the way back that only their weights would need.

torch keeps the input of every convolution and norm, whether or not its weight learns (arXiv:2404.12406). The
gradient of a bias needs no input at all, and what passes on to earlier layers needs the weights alone, so
where biases learn and weights do not, only activation functions keep something: a byte a value, which says
where they let through. Answers are the same to the last bit, gradients up to rounding. Source of the idea:
TinyTL, arXiv:2007.11622.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.overrides import TorchFunctionMode


class Lean(TorchFunctionMode):
    """Frozen convolutions and norms inside keep no inputs, and ReLU and ReLU6 a mask of bytes."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        replace = LEAN.get(func) if torch.is_grad_enabled() else None
        made = None if replace is None else replace(*args, **given)
        return func(*args, **given) if made is None else made


def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    if weight.requires_grad or isinstance(padding, str):
        return None
    return _FrozenConv.apply(x, weight, bias, stride, padding, dilation, groups)


def _norm(
    x: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    if training or mean is None or var is None or (weight is not None and weight.requires_grad):
        return None
    return _FrozenNorm.apply(x, mean, var, weight, bias, eps)


def _relu(x: Tensor, inplace: bool = False) -> Tensor:
    return _Masked.apply(x, 0.0, float("inf"))


def _relu6(x: Tensor, inplace: bool = False) -> Tensor:
    return _Masked.apply(x, 0.0, 6.0)


def _hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    return _Masked.apply(x, min_val, max_val)


LEAN: Final[dict[Any, Callable[..., Tensor | None]]] = {
    F.conv2d: _conv,
    F.batch_norm: _norm,
    F.relu: _relu,
    F.relu6: _relu6,
    F.hardtanh: _hardtanh,  # what nn.ReLU6 calls
}


class _FrozenConv(Function):
    """conv2d(x) + bias, of which only the weight is kept."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.rest = x.shape, (stride, padding, dilation, groups)
        return torch.conv2d(x, weight, bias, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        (weight,) = ctx.saved_tensors
        back = bias = None
        if ctx.needs_input_grad[0]:
            back = torch.nn.grad.conv2d_input(ctx.shape, weight.to(grad.dtype), grad, *ctx.rest)
        if ctx.needs_input_grad[2]:
            bias = grad.sum(dim=(0, 2, 3))
        return back, None, bias, None, None, None, None


class _FrozenNorm(Function):
    """(x - mean) / sqrt(var + eps) * weight + bias, of which only the scale is kept."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        mean: Tensor,
        var: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
    ) -> Tensor:
        scale = torch.rsqrt(var + eps)
        ctx.save_for_backward(scale if weight is None else scale * weight)
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        (scale,) = ctx.saved_tensors
        back = bias = None
        if ctx.needs_input_grad[0]:
            back = grad * scale.to(grad.dtype).view(1, -1, *[1] * (grad.ndim - 2))
        if ctx.needs_input_grad[4]:
            bias = grad.transpose(0, 1).flatten(1).sum(dim=1)
        return back, None, None, None, bias, None


class _Masked(Function):
    """x between `low` and `high`, of which only where it lay inside is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward((x > low) & (x < high))
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        (inside,) = ctx.saved_tensors
        return grad * inside, None, None
