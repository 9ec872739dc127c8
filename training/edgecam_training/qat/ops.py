"""ONNX operators in torch, as far as exported networks use them: one function each, (inputs, attributes)."""

from collections.abc import Callable
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

Inputs = list[Tensor | None]
Attributes = dict[str, Any]


def conv(x: Tensor, weight: Tensor, bias: Tensor | None, attributes: Attributes) -> Tensor:
    """A convolution over pictures, whose padding may differ from side to side."""
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
    return F.conv2d(
        x,
        weight,
        bias,
        attributes.get("strides", [1, 1]),
        [top, left],
        attributes.get("dilations", [1, 1]),
        attributes.get("group", 1),
    )


def _clip(inputs: Inputs, _: Attributes) -> Tensor:
    x, low, high = (*inputs, None, None)[:3]
    assert x is not None
    if low is None or high is None:
        return torch.clamp(x, low, high)
    return F.hardtanh(x, low.item(), high.item())  # half the time of a clamp on the way back


def _reshape(inputs: Inputs, attributes: Attributes) -> Tensor:
    x, shape = _two(inputs)
    asked = shape.tolist()
    return x.reshape([x.shape[i] if side == 0 else side for i, side in enumerate(asked)])


def _reduce_mean(inputs: Inputs, attributes: Attributes) -> Tensor:
    x, axes = _two(inputs)
    return x.mean(dim=axes.tolist(), keepdim=bool(attributes.get("keepdims", 1)))


def _max_pool(inputs: Inputs, attributes: Attributes) -> Tensor:
    (x,) = inputs
    assert x is not None
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    padded = F.pad(x, (left, right, top, bottom), value=-torch.inf)
    return F.max_pool2d(padded, attributes["kernel_shape"], attributes.get("strides", [1, 1]))


def _two(inputs: Inputs) -> tuple[Tensor, Tensor]:
    first, second = inputs
    assert first is not None
    assert second is not None
    return first, second


def _one(run: Callable[[Tensor], Tensor]) -> Callable[[Inputs, Attributes], Tensor]:
    def call(inputs: Inputs, _: Attributes) -> Tensor:
        (x,) = inputs
        assert x is not None
        return run(x)

    return call


def _both(run: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Inputs, Attributes], Tensor]:
    return lambda inputs, _: run(*_two(inputs))


def _softmax(inputs: Inputs, attributes: Attributes) -> Tensor:
    (x,) = inputs
    assert x is not None
    return x.softmax(dim=attributes.get("axis", -1))


def _transpose(inputs: Inputs, attributes: Attributes) -> Tensor:
    (x,) = inputs
    assert x is not None
    return x.permute(attributes["perm"])


OPS: Final[dict[str, Callable[[Inputs, Attributes], Tensor]]] = {
    "Add": _both(torch.add),
    "Cast": _one(Tensor.float),  # of camera bytes; nothing else in an exported network casts
    "Clip": _clip,
    "Div": _both(torch.div),
    "GlobalAveragePool": _one(lambda x: x.mean(dim=(2, 3), keepdim=True)),
    "HardSigmoid": _one(F.hardsigmoid),
    "HardSwish": _one(F.hardswish),
    "Identity": _one(lambda x: x),
    "MatMul": _both(torch.matmul),
    "MaxPool": _max_pool,
    "Mul": _both(torch.mul),
    "ReduceMean": _reduce_mean,
    "Relu": _one(F.relu),
    "Reshape": _reshape,
    "Sigmoid": _one(torch.sigmoid),
    "Softmax": _softmax,
    "Sub": _both(torch.sub),
    "Transpose": _transpose,
}
