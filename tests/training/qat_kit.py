"""A network small enough to quantize in a moment, with all that the default one has: depthwise convolutions,
a residual sum, ReLU6, a convolution without one."""

from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgecam_training import backbone
from edgecam_training.backbone import Body
from edgecam_training.model import Model
from edgecam_training.qat.prepare import make_student
from edgecam_training.qat.student import Student

HW: Final = (64, 96)


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            *_conv(channels, channels, groups=channels), *_conv(channels, channels)[:2]
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


def _conv(given: int, made: int, *, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(given, made, 3, stride, 1, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(made), nn.ReLU6()]


def small_body(_: bool, *, depthwise_stem: bool = False) -> Body:
    second = _conv(8, 8, stride=2, groups=8 if depthwise_stem else 1)
    stages: list[nn.Module] = [nn.Sequential(*_conv(3, 8, stride=2)), nn.Sequential(*second)]
    stages += [nn.Sequential(*_conv(8, 8, stride=2)[:2]), Residual(8)]
    stages += [nn.Sequential(*_conv(8, 16, stride=2)), nn.Sequential(*_conv(16, 16, stride=2))]
    return Body(stages, (127.0,) * 3, (128.0,) * 3)


def use_small_backbone(patch: pytest.MonkeyPatch) -> None:
    """Let the name "small" stand for it, and "mobile" for one whose stem stays in float."""
    patch.setitem(backbone.BACKBONES, "small", small_body)
    patch.setitem(backbone.BACKBONES, "mobile", partial(small_body, depthwise_stem=True))


def small_model(head: str = "plain", *, body: str = "small", seed: int = 0) -> Model:
    """With norms and a class head as if it had been trained; in evaluation."""
    with pytest.MonkeyPatch.context() as patch:
        use_small_backbone(patch)
        torch.manual_seed(seed)
        model = Model(3, backbone=body, head=head, dim=64, dropout=0.0, pretrained=False)
    nn.init.normal_(model.classify.weight)
    for conv in [m for m in model.head.modules() if isinstance(m, nn.Conv2d)]:  # some start at zero
        nn.init.normal_(conv.weight, std=0.1)
        if conv.bias is not None:
            nn.init.normal_(conv.bias, std=0.1)
    for norm in [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.3)
    with torch.no_grad():  # statistics that fit its own activations
        model.train()
        for _ in range(20):
            model(torch.from_numpy(pictures(8)))
    return model.eval()


def pictures(n: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Coarse blocks of colour, (n, h, w, 3)."""
    blocks = np.random.default_rng(seed).integers(0, 256, (n, HW[0] // 16, HW[1] // 16, 3))
    return np.kron(blocks, np.ones((1, 16, 16, 1), np.int64)).astype(np.uint8)


def small_student(model: Model, *, ranges: str = "learned") -> Student:
    return make_student(model, pictures(16), np.arange(16) % 3, HW, ranges=ranges).eval()


def tensors_of(path: Path, frames: NDArray[np.uint8], names: list[str]) -> dict[str, NDArray[np.float32]]:
    """What ONNX Runtime computes for these tensors, each node as it is written."""
    model = onnx.load(path)
    there = {output.name for output in model.graph.output}
    for name in names:
        if name not in there:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, {"frames": frames}), strict=True))
