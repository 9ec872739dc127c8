"""Label sets: single labels and mixed pictures are special cases of them."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecam_training.multilabel import class_shares, mixed_sets, soft_margin_loss, union


def test_a_mixed_picture_holds_both_of_its_classes_by_their_shares() -> None:
    shares = class_shares(
        torch.tensor([0, 2, 3]),
        torch.tensor([1, 2, 0]),
        torch.tensor([0.75, 0.5, 1.0]),
        torch.tensor([0.25, 0.5, 0.0]),
        4,
    )
    # A share of nothing (an empty box) leaves its class absent; equal labels add up.
    assert shares.tolist() == [[0.75, 0.25, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_shares_that_do_not_sum_to_one_are_left_as_they_are() -> None:
    shares = class_shares(torch.tensor([0]), torch.tensor([1]), torch.tensor([0.9]), torch.tensor([0.4]), 2)
    torch.testing.assert_close(shares, torch.tensor([[0.9, 0.4]]))


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 4), k=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_mixing_sets_of_one_is_mixing_labels(n: int, k: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    first, second = (torch.randint(k, (n,), generator=rng) for _ in range(2))
    share = torch.rand(n, generator=rng)
    as_sets = mixed_sets(F.one_hot(first, k), F.one_hot(second, k), share, 1 - share)
    torch.testing.assert_close(as_sets, class_shares(first, second, share, 1 - share, k))


def test_a_mixed_picture_may_show_the_classes_of_either() -> None:
    first, second = torch.tensor([[1.0, 1, 0, 0]]), torch.tensor([[0.0, 1, 0, 1]])
    assert union(first, second).tolist() == [[1, 1, 0, 1]]


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 4), k=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_the_soft_margin_loss_is_that_of_torch_for_sets(n: int, k: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, k, generator=rng) * 5
    sets = torch.randint(2, (n, k), generator=rng).float()
    torch.testing.assert_close(
        soft_margin_loss(logits, sets), F.multilabel_soft_margin_loss(logits, sets, reduction="none")
    )


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_loss_of_a_mixed_target_is_the_mixed_loss(share: float) -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, generator=rng)
    one, other = torch.randint(2, (2, 3, 5), generator=rng).float()
    shares = torch.full((3,), share)
    torch.testing.assert_close(
        soft_margin_loss(logits, mixed_sets(one, other, shares, 1 - shares)),
        share * soft_margin_loss(logits, one) + (1 - share) * soft_margin_loss(logits, other),
    )
