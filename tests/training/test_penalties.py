"""L1, L2 and decoupled decay: constants worked out by hand, and three things that are not the same."""

import pytest
import torch
import torchvision
from torch import nn

from edgecam_training.heads import HEADS
from edgecam_training.model import Model
from edgecam_training.optimizer import make_optimizer
from edgecam_training.options import Options
from edgecam_training.penalties import l1_penalty, l2_penalty, penalized_weights


def small_net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(4, 2)
    )


def test_penalties_act_on_weights_and_not_on_biases_or_norm_gains() -> None:
    net = small_net()
    chosen = {id(p) for p in penalized_weights(net)}
    assert {name for name, p in net.named_parameters() if id(p) in chosen} == {"0.weight", "4.weight"}


def test_what_is_frozen_is_not_penalized() -> None:
    net = small_net()
    net[0].requires_grad_(False)
    assert penalized_weights(net) == [net[4].weight]


def test_penalties_worked_out_by_hand() -> None:
    weights = [nn.Parameter(torch.tensor([[1.0, -2.0]])), nn.Parameter(torch.tensor([[[3.0], [-0.5]]]))]
    assert l1_penalty(weights).item() == 6.5
    assert l2_penalty(weights).item() == 14.25


def test_the_gradient_of_l2_is_twice_the_weight_and_that_of_l1_its_sign() -> None:
    net = small_net()
    l2_penalty(penalized_weights(net)).backward()
    torch.testing.assert_close(net[0].weight.grad, 2 * net[0].weight.detach())
    assert net[1].weight.grad is None
    assert net[0].bias.grad is None
    net.zero_grad()
    l1_penalty(penalized_weights(net)).backward()
    torch.testing.assert_close(net[4].weight.grad, net[4].weight.detach().sign())


def test_a_scale_for_each_channel_is_no_weight_whatever_its_shape() -> None:
    """ConvNeXt's is (channels, 1, 1)."""
    with torch.device("meta"):  # 28 million weights whose values do not matter
        net = torchvision.models.convnext_tiny()
    chosen = {id(p) for p in penalized_weights(net)}
    names = {name for name, p in net.named_parameters() if id(p) in chosen}
    assert names
    assert not [name for name in names if "layer_scale" in name or "bias" in name]
    assert all(p.ndim < 2 or "layer_scale" in n for n, p in net.named_parameters() if id(p) not in chosen)


def small_model(head: str) -> Model:
    torch.manual_seed(0)
    return Model(3, backbone="mobilenet_v3_small", head=head, dim=64, dropout=0.0, pretrained=False)


@pytest.mark.parametrize("head", HEADS)
def test_of_every_head_all_is_penalized_but_biases_and_norms(head: str) -> None:
    model = small_model(head)
    chosen = {id(p) for p in penalized_weights(model)}
    norms = {id(p) for m in model.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
    for name, parameter in model.named_parameters():
        spared = id(parameter) in norms or name.endswith("bias")
        assert (id(parameter) in chosen) != spared, name


def stepped(**changes: float) -> tuple[Model, dict[str, torch.Tensor]]:
    """A step of the optimizer without a loss but the penalties; the network, and its weights before."""
    options = Options(lr_head=0.1, lr_backbone=0.1, weight_decay=changes.pop("weight_decay", 0.0), **changes)
    model = small_model("plain")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = make_optimizer(model, options)
    weights = penalized_weights(model)
    (options.l1 * l1_penalty(weights) + options.l2 * l2_penalty(weights)).backward()
    optimizer.step()
    return model, before


def test_decoupled_decay_shrinks_every_weight_in_proportion_and_nothing_else() -> None:
    model, before = stepped(weight_decay=0.2)
    chosen = {id(p) for p in penalized_weights(model)}
    for name, p in model.named_parameters():
        shrunk = before[name] * (1 - 0.1 * 0.2) if id(p) in chosen else before[name]
        torch.testing.assert_close(p.detach(), shrunk)


def test_the_l2_term_goes_through_adam_which_forgets_its_size() -> None:
    """Were it decay, a weight of 1 would move ten times as far as one of 0.1."""
    model, before = stepped(l2=0.3)
    for name in ("backbone.body.0.0.weight", "head.from16.0.weight"):
        p = dict(model.named_parameters())[name]
        moved = (before[name] - p.detach())[before[name].abs() > 1e-3]
        torch.testing.assert_close(moved.abs(), torch.full_like(moved, 0.1), rtol=1e-3, atol=0)
