"""The exported graph's weights as functions of the network's parameters: folding, with gradients."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from edgecam_training.heads import LinearHead
from edgecam_training.model import Model


def folded(model: Model) -> dict[str, Tensor]:
    """Every parameter under the name that it has in the exported graph, batch norms folded in.

    The norms count with their running statistics, as in evaluation; their gain and bias still learn.
    Source: folding with frozen statistics, Krishnamoorthi, arXiv:1806.08342, section 3.2.2.
    """
    parts = {"body": model.backbone.body, "head": model.head}
    names = {m: f"{part}.{name}" for part, net in parts.items() for name, m in net.named_modules()}
    tensors = {f"{part}.{name}": p for part, net in parts.items() for name, p in net.named_parameters()}
    followed = [pair for module in names if isinstance(module, nn.Sequential) for pair in pairs(module)]
    for conv, norm in followed:
        scale, shift = affine(norm)
        tensors[f"{names[conv]}.weight"] = conv.weight * scale[:, None, None, None]
        bias = shift if conv.bias is None else conv.bias * scale + shift
        tensors[f"{names[conv]}.bias"] = bias
    alone = [m for m in names if isinstance(m, nn.BatchNorm2d) and m not in {norm for _, norm in followed}]
    for norm in alone:
        scale, shift = affine(norm)
        tensors[f"{names[norm]}.scale"] = scale.view(1, -1, 1, 1)
        tensors[f"{names[norm]}.shift"] = shift.view(1, -1, 1, 1)
    for head in [module for module in names if isinstance(module, LinearHead)]:
        scale, shift = affine(head.norm)
        for conv in (head.attention.query, head.attention.key, head.attention.value, head.attention.gate):
            assert conv.bias is not None
            tensors[f"{names[conv]}.weight"] = conv.weight * scale[:, None, None]
            tensors[f"{names[conv]}.bias"] = conv.bias + conv.weight[:, :, 0, 0] @ shift
    first = next(m for m in model.backbone.body.modules() if isinstance(m, nn.Conv2d))
    std = model.backbone.std.view(1, 3, 1, 1)
    tensors[f"{names[first]}.weight"] = (tensors[f"{names[first]}.weight"] / std).flip(1)
    return tensors


def affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """A norm in evaluation as scale and shift, (channels,) each."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def pairs(chain: nn.Sequential) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution in a chain with the norm that follows it."""
    found = []
    for before, after in pairwise(chain.children()):
        conv = before[-1] if isinstance(before, nn.Sequential) else before
        if isinstance(conv, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
            found.append((conv, after))
    return found
