"""The trained network as one ONNX graph: camera bytes in, features out, nothing wasted on the way."""

import copy
import logging
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edgecam_engines.files import write_atomically
from edgecam_training.graph import fold_pads, name_after_order
from edgecam_training.heads import LinearHead
from edgecam_training.model import Model


class Exported(nn.Module):
    """uint8 (n, h, w, 3) BGR -> float32 features (n, d, h/16, w/16).

    The bytes are transposed while they are bytes, then cast and centred; scale and channel order are
    folded into the first convolution, so preprocessing costs next to nothing and stays exact. The mean
    is subtracted and not folded, since the padding of the first convolution must stay zero after it.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        model = copy.deepcopy(model).eval().cpu().requires_grad_(False)
        self.body = model.backbone.body
        self.taps = model.backbone.taps
        self.head = model.head
        ready_to_run(self)
        first = next(m for m in self.body.modules() if isinstance(m, nn.Conv2d))
        mean, std = model.backbone.mean.flatten(), model.backbone.std.flatten()
        first.weight.data = (first.weight / std.view(1, 3, 1, 1)).flip(1).contiguous()
        # One mean for all channels is a scalar, which quantizes as a shift of the zero point.
        self.mean = mean[0] if bool((mean == mean[0]).all()) else mean.flip(0).view(1, 3, 1, 1)

    def forward(self, frames: Tensor) -> Tensor:
        x = frames.permute(0, 3, 1, 2).float() - self.mean
        tapped = []
        for index, module in enumerate(self.body):
            x = module(x)
            if index in self.taps:
                tapped.append(x)
        return self.head(*tapped)


def ready_to_run(net: nn.Module) -> nn.Module:
    """Fold what can be folded for evaluation, in place: the same numbers from fewer operations."""
    fuse_batch_norms(net)
    fold_attention_norms(net)
    spell_out_batch_norms(net)
    spell_out_pooling(net)
    return net


def fuse_batch_norms(root: nn.Module) -> None:
    """Fold every BatchNorm that follows a convolution in a chain into it."""
    for child in root.children():
        fuse_batch_norms(child)
    if not isinstance(root, nn.Sequential):
        return
    for before, after in zip(list(root.children()), list(root.children())[1:], strict=False):
        conv = before[-1] if isinstance(before, nn.Sequential) else before
        if isinstance(conv, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
            fused = fuse_conv_bn_eval(conv, after)
            conv.weight, conv.bias = fused.weight, fused.bias
            _replace_child(root, after, nn.Identity())


def fold_attention_norms(root: nn.Module) -> None:
    """Fold the BatchNorm before an attention block into the projections that alone read it.

    W (s x + t) + b = (W s) x + (W t + b), exact since they are 1 x 1 and so see no padding.
    """
    for head in [module for module in root.modules() if isinstance(module, LinearHead)]:
        scale, shift = (part.flatten() for part in Affine(head.norm).buffers())
        block = head.attention
        for conv in (block.query, block.key, block.value, block.gate):
            assert conv.bias is not None
            conv.bias.data = conv.bias + conv.weight[:, :, 0, 0] @ shift
            conv.weight.data = conv.weight * scale[:, None, None]
        head.norm = nn.Identity()


def spell_out_batch_norms(root: nn.Module) -> None:
    """What is left of BatchNorm becomes one multiplication and one addition."""
    for child in list(root.children()):
        if isinstance(child, nn.BatchNorm2d):
            _replace_child(root, child, Affine(child))
        else:
            spell_out_batch_norms(child)


def spell_out_pooling(root: nn.Module) -> None:
    """Pooling to one cell, as in squeeze-and-excitation, becomes the mean that it is.

    The exporter writes it as strides over a batch of any size: a Shape of the camera's bytes, a Range, a
    Gather. TensorRT takes no Shape of bytes, and INT8 no Gather in between.
    """
    for child in list(root.children()):
        if isinstance(child, nn.AdaptiveAvgPool2d) and child.output_size in (1, (1, 1)):
            _replace_child(root, child, Mean())
        else:
            spell_out_pooling(child)


class Mean(nn.Module):
    """(n, c, h, w) -> (n, c, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3), keepdim=True)


class Affine(nn.Module):
    """A BatchNorm2d in evaluation: scale and shift per channel."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.scale = nn.Buffer(scale.view(1, -1, 1, 1))
        self.shift = nn.Buffer((norm.bias - norm.running_mean * scale).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


def _replace_child(parent: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for name, child in parent.named_children():
        if child is old:
            setattr(parent, name, new)


def export_onnx(model: Model, input_hw: tuple[int, int], path: Path) -> None:
    """Write the features' graph, batch size free."""
    example = torch.zeros(2, *input_hw, 3, dtype=torch.uint8)
    free = ({0: torch.export.Dim("n", min=1, max=1024)},)
    write_graph(
        Exported(model), (example,), path, inputs=["frames"], outputs=["features"], dynamic_shapes=free
    )


def write_graph(
    net: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    *,
    inputs: list[str],
    outputs: list[str] | None,
    dynamic_shapes: tuple[dict[int, Any], ...] | None = None,
) -> None:
    """Write a module's graph in opset 18, one file, checked by ONNX itself; without shapes, all are fixed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations; nothing a person can act on
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            net,
            example,
            dynamo=True,
            verbose=False,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=dynamic_shapes,
            opset_version=18,
        )
    assert program is not None
    graph = name_after_order(fold_pads(program.model_proto))
    onnx.checker.check_model(graph, full_check=True)
    write_atomically(path, graph.SerializeToString())
