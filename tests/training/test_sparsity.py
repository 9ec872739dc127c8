"""How many weights are small: counted by hand, and told to the person who asked for L1."""

import torch
from torch import nn

from edgecam_training.model import Model
from edgecam_training.sparsity import StageSparsity, sparsity


def model_of(value: float) -> Model:
    torch.manual_seed(0)
    model = Model(3, backbone="mobilenet_v3_small", head="plain", dim=64, dropout=0.0, pretrained=False)
    for parameter in model.parameters():
        nn.init.constant_(parameter, value)
    return model


def test_weights_are_counted_by_stage_and_biases_and_gains_are_not() -> None:
    model = model_of(1.0)
    with torch.no_grad():
        model.head.from16[0].weight[:16] = 0.0009
        model.head.from32[0].weight[0, :3] = -0.0009
        model.classify.weight[0] = 0.0
        for module in model.modules():  # would be counted as small, were they counted
            if isinstance(module, nn.BatchNorm2d):
                module.weight.zero_()
                module.bias.zero_()
    stages = {stage.name: stage for stage in sparsity(model, below=0.001)}
    c16, c32 = model.backbone.channels
    assert stages["feature head"] == StageSparsity("feature head", 64 * (c16 + c32), 16 * c16 + 3)
    assert stages["class head"] == StageSparsity("class head", 3 * 64, 64)
    assert stages["class head"].share == 1 / 3
    assert stages["backbone stage 0"] == StageSparsity("backbone stage 0", 3 * 16 * 9, 0)
    assert all(stage.small == 0 for name, stage in stages.items() if name.startswith("backbone"))


def test_all_is_the_sum_of_the_stages() -> None:
    *stages, total = sparsity(model_of(1e-4), below=1e-3)
    assert total == StageSparsity("all", sum(s.weights for s in stages), sum(s.small for s in stages))
    assert total.share == 1


def test_the_magnitude_itself_is_not_below_it() -> None:
    assert sparsity(model_of(0.5), below=0.5)[-1].share == 0
    assert sparsity(model_of(0.5), below=0.5001)[-1].share == 1


def test_a_frozen_network_is_counted_too() -> None:
    assert sparsity(model_of(0.0).requires_grad_(False))[-1].share == 1
