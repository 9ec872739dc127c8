"""Mixes that look where the subject is, and the maps that tell them."""

from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgecam_training.mixing import MIXES, Given
from edgecam_training.mixing.blocks import block_masks, ranks
from edgecam_training.mixing.puzzlemix_lite import best_blocks
from edgecam_training.mixing.saliency import distributed, pooled, spread, true_class_maps
from edgecam_training.model import Model
from training.mix_kit import noise, rng_of, seeds


def maps_of(n: int, seed: int, hw: tuple[int, int] = (4, 7)) -> Tensor:
    return torch.randn(n, *hw, generator=rng_of(seed))


# -- maps


@settings(deadline=None, max_examples=50)
@given(n=st.integers(1, 5), h=st.integers(1, 40), w=st.integers(1, 40), seed=seeds)
def test_a_map_is_a_distribution_over_pixels_whatever_its_scale(n: int, h: int, w: int, seed: int) -> None:
    maps = maps_of(n, seed)
    out = spread(maps, (h, w))
    assert out.shape == (n, h, w)
    assert (out >= 0).all()
    torch.testing.assert_close(out.sum(dim=(1, 2)), torch.ones(n, dtype=torch.float64))
    torch.testing.assert_close(spread(3 * maps + 5, (h, w)), out, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("value", [0.0, 3.7, -1e6, float("nan"), float("inf")])
def test_a_map_that_says_nothing_is_uniform(value: float) -> None:
    maps = torch.full((2, 3, 5), value)
    maps[1] = maps_of(1, 0, (3, 5))[0]
    out = spread(maps, (6, 10))
    torch.testing.assert_close(out[0], torch.full((6, 10), 1 / 60, dtype=torch.float64))
    assert float(out[1].std()) > 0
    torch.testing.assert_close(pooled(maps, 3)[0], torch.full((3, 3), 1 / 9, dtype=torch.float64))


def tiny_model() -> Model:
    torch.manual_seed(0)
    model = Model(
        3, backbone="mobilenet_v3_small", head="plain", dim=64, dropout=0.3, pretrained=False
    ).train()
    torch.nn.init.normal_(model.classify.weight)
    return model


def test_the_maps_are_the_networks_own_of_each_label_and_leave_no_mark_on_it() -> None:
    model = tiny_model()
    model.backbone.body[0].eval()  # frozen parts keep their statistics
    frames, labels = noise(5, 64, 96, 0), torch.tensor([0, 2, 1, 1, 0])
    modes = [module.training for module in model.modules()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch_state = torch.get_rng_state()
    maps = true_class_maps(model, frames, labels)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert not maps.requires_grad
    model.eval()
    cams = model.cams(model(frames))
    expected = torch.stack([cams[i, label] for i, label in enumerate(labels.tolist())])
    torch.testing.assert_close(maps, expected.detach())
    assert maps.shape == (5, 4, 6)


# -- SnapMix


def test_snapmix_of_maps_that_say_nothing_weighs_by_area() -> None:
    images, labels = noise(6, 30, 50, 0), torch.arange(6)
    for seed in range(20):
        given = Given(alpha=5.0, saliency=torch.ones(6, 3, 5))
        mixed = MIXES["snapmix"].run(images, labels, given, rng_of(seed))
        assert mixed.mask is not None
        area = mixed.mask.double().mean(dim=(1, 2))
        torch.testing.assert_close(mixed.first_share.double(), area, atol=1e-6, rtol=0)
        # The other box is drawn apart; one share of the batch's, and none for who was left alone.
        moved = mixed.second != labels
        assert len(mixed.second_share[moved].unique()) <= 1
        assert (mixed.second_share[~moved] == 0).all()


def test_snapmix_weighs_by_how_much_of_each_subject_is_seen() -> None:
    """The subject is the left half; a box over it takes the label with it."""
    saliency = torch.zeros(2, 2, 2)
    saliency[:, :, 0] = 1.0
    images, labels = noise(2, 32, 32, 0), torch.tensor([0, 1])
    subject = spread(saliency, (32, 32))
    seen = 0
    for seed in range(40):
        given = Given(alpha=5.0, per_sample=True, saliency=saliency)
        mixed = MIXES["snapmix"].run(images, labels, given, rng_of(seed))
        assert mixed.mask is not None
        if mixed.second.tolist() == [0, 1]:
            continue
        left = (subject * mixed.mask).sum(dim=(1, 2))
        torch.testing.assert_close(mixed.first_share.double(), left, atol=1e-6, rtol=0)
        seen += bool(((mixed.first_share + mixed.second_share - 1).abs() > 0.1).any())
    assert seen > 5  # the two need not sum to one


def test_snapmix_of_two_images_of_one_class_gives_both_the_sum() -> None:
    images, saliency = noise(6, 24, 24, 0), maps_of(6, 1)
    for seed in range(10):
        apart, alike = (
            MIXES["snapmix"].run(images, labels, Given(5.0, saliency=saliency), rng_of(seed))
            for labels in (torch.arange(6), torch.zeros(6, dtype=torch.int64))
        )
        both = apart.first_share + apart.second_share
        moved = apart.second != torch.arange(6)
        torch.testing.assert_close(alike.first_share[moved], both[moved])
        torch.testing.assert_close(alike.second_share[moved], both[moved])
        assert (alike.first_share[~moved] == 1).all()
        assert (alike.second_share[~moved] == 0).all()


# -- blocks


def test_ranks_order_by_worth_and_equals_by_chance() -> None:
    worth = torch.tensor([[3.0, 1.0, 2.0, 0.0]])
    assert ranks(worth, rng_of(0)).tolist() == [[0, 2, 1, 3]]
    first = {int(ranks(torch.zeros(1, 6), rng_of(seed)).argmin()) for seed in range(60)}
    assert first == set(range(6))


@pytest.mark.parametrize("hw", [(16, 24), (17, 23), (3, 50)])
def test_blocks_tile_the_image_in_order(hw: tuple[int, int]) -> None:
    chosen = torch.rand(2, 8, 8, generator=rng_of(0)) < 0.5
    masks = block_masks(chosen, hw)
    assert masks.shape == (2, *hw)
    y, x = hw[0] - 1, hw[1] // 2
    assert torch.equal(masks[:, y, x], chosen[:, y * 8 // hw[0], x * 8 // hw[1]])


@settings(deadline=None, max_examples=40)
@given(kept=st.floats(0, 1), seed=seeds)
def test_puzzlemix_lite_shows_more_of_both_subjects_than_any_other_mask(kept: float, seed: int) -> None:
    own, other = distributed(maps_of(2, seed, (3, 3))).split(1)
    chosen = best_blocks(own, other, torch.tensor([kept], dtype=torch.float64), rng_of(seed))
    count = int(chosen.sum())
    assert count == round(kept * 9)

    def shown(stays: Tensor) -> float:
        return float((own * stays).sum() + (other * ~stays).sum())

    for blocks in combinations(range(9), count):
        stays = torch.zeros(9, dtype=torch.bool)
        stays[list(blocks)] = True
        assert shown(chosen) >= shown(stays.reshape(1, 3, 3)) - 1e-12


@settings(deadline=None, max_examples=20)
@given(n=st.integers(1, 6), own=st.booleans(), seed=seeds)
def test_puzzlemix_lite_gives_labels_in_sixty_fourths(n: int, own: bool, seed: int) -> None:
    given = Given(per_sample=own, saliency=maps_of(n, seed))
    mixed = MIXES["puzzlemix-lite"].run(noise(n, 32, 48, 0), torch.arange(n), given, rng_of(seed))
    parts = 64 * mixed.first_share
    torch.testing.assert_close(parts, parts.round())


def test_attentive_cutmix_takes_the_six_blocks_of_the_partners_subject() -> None:
    n, saliency = 4, maps_of(4, 3, (7, 7))
    images = noise(n, 28, 35, 0)
    mixed = MIXES["attentive-cutmix"].run(images, torch.arange(n), Given(saliency=saliency), rng_of(1))
    torch.testing.assert_close(mixed.second_share, torch.full((n,), 6 / 49))
    assert mixed.mask is not None
    taken = (mixed.mask == 0)[:, ::4, ::5]  # one pixel of each block
    for i in range(n):
        best = saliency[mixed.second[i]].flatten().topk(6).indices
        assert set(taken[i].flatten().nonzero()[:, 0].tolist()) == set(best.tolist())
