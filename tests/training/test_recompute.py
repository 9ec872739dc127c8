"""Activations computed again: the same step to the last bit, with less kept in between."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgecam_training.recompute import recomputed
from edgecam_training.step import loss_of
from training.team_kit import OPTIONS, a_batch, made


def gradients(
    backbone: str, *, save_memory: bool, frozen: int = 0
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Gradients and buffers after one loss with both of SEAM's branches, in training mode."""
    from dataclasses import replace

    from edgecam_training.mixing import unmixed

    options = replace(OPTIONS, backbone=backbone, save_memory=save_memory, er=0.1, ecr=0.1)
    model = made(options)
    for module in model.backbone.body[:frozen]:
        module.requires_grad_(False).eval()
    torch.manual_seed(5)  # of stochastic depth
    batch = a_batch(6, 0)
    loss_of(model, unmixed(*batch), options, seed=0).backward()
    return (
        {name: p.grad for name, p in model.named_parameters() if p.grad is not None},
        {name: buffer.clone() for name, buffer in model.named_buffers()},
    )


@pytest.mark.parametrize(
    ("backbone", "frozen"), [("mobilenet_v3_small", 0), ("mobilenet_v3_small", 5), ("efficientnet_b0", 0)]
)
def test_gradients_and_statistics_are_the_same_to_the_last_bit(backbone: str, frozen: int) -> None:
    """efficientnet_b0 drops whole blocks at random: the second time the same ones."""
    plain = gradients(backbone, save_memory=False, frozen=frozen)
    saved = gradients(backbone, save_memory=True, frozen=frozen)
    for one, other in zip(plain, saved, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def kept_bytes(module: nn.Module, x: Tensor, run: Any) -> int:
    """Bytes that autograd holds on to between the way there and the way back."""
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run(module, x)
    return sum(seen.values())


def test_less_is_kept() -> None:
    stage = nn.Sequential(
        *(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(4))
    )
    x = torch.randn(2, 8, 16, 16, requires_grad=True)
    assert kept_bytes(stage, x, recomputed) < 0.5 * kept_bytes(stage, x, lambda module, given: module(given))


def test_a_norm_counts_a_batch_once() -> None:
    stage = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    recomputed(stage, torch.randn(2, 3, 4, 4, requires_grad=True)).sum().backward()
    assert int(stage[1].num_batches_tracked) == 1
    assert stage[1].track_running_stats
