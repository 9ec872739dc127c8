"""Losses against constants worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from edgecam_training.losses import mixed_cross_entropy
from edgecam_training.mixing import Mixed, unmixed

NO_IMAGES = torch.zeros(0)


def labels(first: list[int], second: list[int], share: list[float]) -> Mixed:
    return Mixed(NO_IMAGES, torch.tensor(first), torch.tensor(second), torch.tensor(share))


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
        mixed_cross_entropy(logits, Mixed(NO_IMAGES, first, second, share), smoothing=smoothing),
        F.cross_entropy(logits, soft, reduction="none", label_smoothing=smoothing),
    )


def test_an_unmixed_batch_costs_the_plain_cross_entropy() -> None:
    target = torch.tensor([2, 0])
    loss = mixed_cross_entropy(LOGITS, unmixed(torch.zeros(2, 4, 4, 3), target), smoothing=0.0)
    torch.testing.assert_close(loss, F.cross_entropy(LOGITS, target, reduction="none"))
    assert loss.shape == (2,)  # unreduced
