"""A network of a few thousand weights with any head, as a training would leave it."""

from itertools import pairwise

import torch
from torch import nn

from edgecam_engines.engine import Frames
from edgecam_training.backbone import Body
from edgecam_training.model import Model


def tiny_body(pretrained: bool) -> Body:
    """Five convolutions of stride 2, for BACKBONES."""
    widths = (3, 8, 16, 16, 24, 40)
    stages: list[nn.Module] = [
        nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU6())
        for a, b in pairwise(widths)
    ]
    return Body(stages, (127.0,) * 3, (128.0,) * 3)


def settled(backbone: str, head: str, frames: Frames, *, classes: int = 4) -> Model:
    """Random weights where a training starts from zeros, and the statistics of `frames`."""
    torch.manual_seed(0)
    model = Model(classes, backbone=backbone, head=head, dim=64, dropout=0.3, pretrained=False)
    for norm in [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.2)
        norm.momentum = 1.0
    for name, parameter in model.head.named_parameters():
        if "gate" in name:
            nn.init.normal_(parameter, std=0.2)
        if name.endswith("merge.weight"):
            nn.init.normal_(parameter, std=0.05)
    nn.init.normal_(model.classify.weight, std=0.1)
    nn.init.normal_(model.classify.bias, std=0.1)
    with torch.no_grad():
        model(torch.from_numpy(frames))
    return model.eval().requires_grad_(False)
