"""Losses and penalties against constants worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgecam_training.losses import l1_penalty, l2_penalty, mixed_cross_entropy, penalized_weights
from edgecam_training.mixing import Mixed, unmixed

NO_IMAGES = torch.zeros(0)


def labels(first: list[int], second: list[int], share: list[float]) -> Mixed:
    shares = torch.tensor(share)
    return Mixed(NO_IMAGES, torch.tensor(first), torch.tensor(second), shares, 1 - shares)


# softmax([ln 1, ln 2, ln 5]) = [1/8, 2/8, 5/8]
LOGITS = torch.log(torch.tensor([[1.0, 2.0, 5.0], [4.0, 2.0, 2.0]]))


def test_cross_entropy_of_two_labels_worked_out_by_hand() -> None:
    loss = mixed_cross_entropy(LOGITS, labels([0, 0], [2, 1], [0.25, 1.0]), smoothing=0.0)
    expected = [0.25 * math.log(8) + 0.75 * math.log(8 / 5), math.log(2)]
    torch.testing.assert_close(loss, torch.tensor(expected))


def test_smoothing_worked_out_by_hand() -> None:
    # Target 0.1 / 3 each, and 0.9 more on the label.
    loss = mixed_cross_entropy(LOGITS[:1], labels([2], [2], [1.0]), smoothing=0.1)
    nats = [math.log(8), math.log(4), math.log(8 / 5)]
    torch.testing.assert_close(loss, torch.tensor([0.9 * nats[2] + 0.1 * sum(nats) / 3]))


def test_no_information_costs_the_logarithm_of_the_classes() -> None:
    loss = mixed_cross_entropy(
        torch.zeros(3, 7), labels([0, 3, 6], [1, 1, 1], [0.1, 0.5, 0.9]), smoothing=0.1
    )
    torch.testing.assert_close(loss, torch.full((3,), math.log(7)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_two_labels_cost_what_the_one_soft_label_costs(smoothing: float) -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 5, generator=rng)
    first, second = torch.randint(0, 5, (2, 6), generator=rng)
    share = torch.rand(6, generator=rng)
    soft = share[:, None] * F.one_hot(first, 5) + (1 - share[:, None]) * F.one_hot(second, 5)
    torch.testing.assert_close(
        mixed_cross_entropy(logits, Mixed(NO_IMAGES, first, second, share, 1 - share), smoothing=smoothing),
        F.cross_entropy(logits, soft, reduction="none", label_smoothing=smoothing),
    )


def test_weights_that_do_not_sum_to_one_are_taken_as_they_are() -> None:
    """Two thirds of one subject and three quarters of the other may be in the picture."""
    mixed = labels([0], [2], [2 / 3])._replace(second_share=torch.tensor([0.75]))
    own, other = (F.cross_entropy(LOGITS[:1], torch.tensor([label])) for label in (0, 2))
    loss = mixed_cross_entropy(LOGITS[:1], mixed, smoothing=0.0)
    torch.testing.assert_close(loss, (2 / 3 * own + 0.75 * other)[None])


def test_an_unmixed_batch_costs_the_plain_cross_entropy() -> None:
    target = torch.tensor([2, 0])
    loss = mixed_cross_entropy(LOGITS, unmixed(torch.zeros(2, 4, 4, 3), target), smoothing=0.0)
    torch.testing.assert_close(loss, F.cross_entropy(LOGITS, target, reduction="none"))
    assert loss.shape == (2,)  # unreduced


# -- penalties


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
