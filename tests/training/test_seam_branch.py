"""SEAM's two branches together: what each loss teaches whom, and what is left behind."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgecam_training.map_losses import map_loss
from edgecam_training.mixing import Given, Mixed, unmixed
from edgecam_training.mixing.cutmix import cutmix
from edgecam_training.model import Model
from edgecam_training.options import SEAM_TRANSFORMS, Options
from edgecam_training.seam.branch import (
    Branch,
    add_correlation,
    branch_losses,
    drop_correlation,
    first_of,
    statistics_kept,
    tapped,
)
from edgecam_training.seam.correlation import PixelCorrelation
from edgecam_training.seam.transforms import Flip, Rescale, Shift, Tilt, Transform

PIXELS, GRID = (64, 96), (4, 6)
OFF = Options(er=0, ecr=0, pretrained=False, seam_share=0.5)


def noise(*shape: int, seed: int = 0, scale: float = 3.0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


def branch(cams: Tensor) -> Branch:
    """A branch with features of its own, as wide as those of `a_pcm`."""
    n, _, h, w = cams.shape
    frames = torch.randint(0, 256, (n, 16 * h, 16 * w, 3), dtype=torch.uint8)
    taps = noise(n, 5, h, w, seed=8).requires_grad_(), noise(n, 7, h // 2, w // 2, seed=9).requires_grad_()
    return Branch(frames, cams, taps)


def a_pcm(*, linear: bool = True) -> PixelCorrelation:
    torch.manual_seed(0)
    return PixelCorrelation((5, 7), linear=linear)


pcms = pytest.mark.parametrize(
    "pcm", [None, a_pcm(linear=False), a_pcm(linear=True)], ids=["none", "pairs", "linear"]
)


# -- losses between branches


@pytest.mark.parametrize("value", [-2.0, 0.0, 7.0])
@pytest.mark.parametrize("transform", [Rescale(PIXELS, (64, 64)), Flip(), Shift(1, -2), Tilt(12.0)], ids=str)
def test_a_constant_map_costs_no_equivariance(value: float, transform: Transform) -> None:
    one = branch(torch.full((2, 3, *GRID), value))
    other = branch(torch.full((2, 3, 4, 4 if isinstance(transform, Rescale) else 6), value))
    losses = branch_losses(one, other, torch.ones(2, 3), transform, pcm=None)
    assert losses["er"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("transform", [Flip(), Shift(1, -2)], ids=str)
def test_a_network_that_moves_its_maps_as_the_picture_moved_costs_nothing(transform: Transform) -> None:
    # The maximum and the minimum lie where both branches see them.
    cams = noise(1, 2, *GRID).clamp(-2, 2)
    cams[:, :, 1, 3], cams[:, :, 2, 3] = 4, -4
    present = torch.ones(1, 2)
    right = branch_losses(branch(cams), branch(transform.maps(cams)), present, transform, pcm=None)
    wrong = branch_losses(branch(cams), branch(cams), present, transform, pcm=None)
    assert float(right["er"]) == pytest.approx(0, abs=1e-6)
    assert float(wrong["er"]) > 0.1


@pcms
def test_an_absent_class_contributes_nothing_whatever_its_map(pcm: PixelCorrelation | None) -> None:
    transform = Rescale((128, 128), (64, 64))
    large, small = noise(2, 4, 8, 8), noise(2, 4, 4, 4, seed=1)
    present = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 1]])
    absent = (1 - present)[:, :, None, None]
    one, other = branch(large), branch(small)
    plain = branch_losses(one, other, present, transform, pcm=pcm)
    wild = branch_losses(
        one._replace(cams=large + absent * noise(*large.shape, seed=5, scale=1e3)),
        other._replace(cams=small + absent * 77 * small),
        present,
        transform,
        pcm=pcm,
    )
    assert plain.keys() == wild.keys()
    for name in plain:
        torch.testing.assert_close(wild[name], plain[name])


@pcms
def test_every_loss_is_one_number_a_picture_also_for_a_single_one(pcm: PixelCorrelation | None) -> None:
    for n in (1, 3):
        one, other = branch(noise(n, 3, *GRID)), branch(noise(n, 3, *GRID, seed=1))
        losses = branch_losses(one, other, torch.ones(n, 3), Tilt(-9.0), pcm=pcm)
        assert set(losses) == {"er", "ecr", "rvmin"} | ({"distil"} if pcm else set())
        assert all(loss.shape == (n,) and loss.isfinite().all() for loss in losses.values())


def learners(loss: Tensor, one: Branch, other: Branch, pcm: PixelCorrelation | None) -> set[str]:
    """Whom a loss teaches."""
    parts: dict[str, list[Tensor]] = {
        "first maps": [one.cams],
        "second maps": [other.cams],
        "backbone through pcm": [*one.taps, *other.taps],
        "pcm": list(pcm.parameters()) if pcm else [],
    }
    found = set()
    for name, leaves in parts.items():
        for leaf in leaves:
            (gradient,) = torch.autograd.grad(loss.sum(), leaf, retain_graph=True, allow_unused=True)
            if gradient is not None and gradient.any():
                assert gradient.isfinite().all()
                found.add(name)
    return found


@pcms
def test_as_published_cross_and_min_pooling_losses_teach_pcm_alone_and_distil_teaches_the_maps(
    pcm: PixelCorrelation | None,
) -> None:
    one = branch(noise(2, 3, 8, 10).requires_grad_())
    other = branch(noise(2, 3, 4, 6, seed=1).requires_grad_())
    losses = branch_losses(one, other, torch.ones(2, 3), Rescale((128, 160), PIXELS), pcm=pcm)
    taught = {
        name: learners(loss, one, other, pcm) if loss.requires_grad else set()
        for name, loss in losses.items()
    }
    maps = {"first maps", "second maps"}
    if pcm:
        assert taught == {"er": maps, "ecr": {"pcm"}, "rvmin": {"pcm"}, "distil": maps}
    else:
        assert taught["er"] == taught["ecr"] == maps
        assert taught["rvmin"] <= maps


# -- the network with its branches


def a_model(options: Options) -> Model:
    torch.manual_seed(0)
    model = Model(3, backbone="mobilenet_v3_small", head="plain", dim=64, dropout=0.0, pretrained=False)
    nn.init.normal_(model.classify.weight, std=0.1)  # at zero all maps agree
    return add_correlation(model, options)


def a_batch(n: int = 4) -> Mixed:
    rng = torch.Generator().manual_seed(3)
    frames = torch.randint(0, 256, (n, *PIXELS, 3), dtype=torch.uint8, generator=rng)
    return cutmix(frames, torch.arange(n) % 3, Given(alpha=1.0), rng)


def loss_of(mixed: Mixed, model: Model | None = None, **changes: Any) -> Tensor:
    options = replace(OFF, **changes)
    model = model or a_model(options)
    with tapped(model) as taps:
        features = model(mixed.images)
    return map_loss(model, features, taps[-1], mixed, options, torch.Generator().manual_seed(0))


def test_nothing_switched_on_costs_nothing_and_runs_no_second_branch() -> None:
    model = a_model(OFF)
    passes: list[object] = []
    model.backbone.register_forward_hook(lambda *_: passes.append(None))
    assert loss_of(a_batch(), model).item() == 0
    assert len(passes) == 1


WEIGHTED = ("er", "ecr", "rvmin", "seam_cls", "distil", "cam_entropy", "cam_concentration")


def test_every_loss_is_added_with_its_weight() -> None:
    mixed = a_batch()
    alone = {name: loss_of(mixed, seam_pcm="linear", **{name: 1.0}).item() for name in WEIGHTED}
    assert all(loss > 0 for loss in alone.values())
    together = loss_of(mixed, seam_pcm="linear", **{name: i + 1.0 for i, name in enumerate(WEIGHTED)})
    expected = sum((i + 1) * alone[name] for i, name in enumerate(WEIGHTED))
    assert together.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("transform", SEAM_TRANSFORMS)
@pytest.mark.parametrize("pcm", ["none", "pairs", "linear"])
def test_every_branch_goes_with_every_form_of_pcm(transform: str, pcm: str) -> None:
    loss = loss_of(a_batch(), seam_transform=transform, seam_pcm=pcm, er=1.0, ecr=1.0, rvmin=1.0)
    assert loss.isfinite()
    assert loss.item() > 0
    loss.backward()


def test_the_second_branch_leaves_no_mark_on_the_norms_statistics() -> None:
    def after(**changes: float) -> list[Tensor]:
        model = a_model(OFF).train()
        loss_of(a_batch(), model, **changes)
        return [buffer.clone() for buffer in model.buffers()]

    without, with_branch = after(), after(er=1.0, seam_cls=1.0)
    assert all(torch.equal(a, b) for a, b in zip(without, with_branch, strict=True))


def test_a_picture_that_lost_nothing_in_mixing_shows_one_class() -> None:
    """An empty box names a partner all the same; its class must not be looked for."""
    frames = a_batch().images
    first, second = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 2, 0, 1])
    empty = Mixed(frames, first, second, torch.ones(4), torch.zeros(4))
    changes = {"er": 1.0, "ecr": 1.0, "cam_concentration": 1.0}
    assert loss_of(empty, **changes).item() == loss_of(unmixed(frames, first), **changes).item()


def test_the_first_pictures_bring_all_that_is_theirs() -> None:
    mixed = a_batch(5)
    part = first_of(mixed, 2)
    assert part.mask is not None
    assert [len(field) for field in part[:5]] == [2] * 5
    assert len(part.mask) == 1  # one for the whole batch
    assert torch.equal(part.images, mixed.images[:2])
    assert torch.equal(part.second, mixed.second[:2])


def test_what_the_backbone_gives_is_seen_inside_alone() -> None:
    model = a_model(OFF)
    frames = a_batch().images
    with tapped(model) as taps:
        features = model(frames)
    model(frames)
    assert len(taps) == 1
    torch.testing.assert_close(model.head(*taps[0]), features)
    assert [tap.shape[2:] for tap in taps[0]] == [(4, 6), (2, 3)]


def test_pcm_is_part_of_the_network_until_it_is_dropped() -> None:
    plain = set(a_model(OFF).state_dict())
    model = a_model(replace(OFF, seam_pcm="pairs"))
    added = set(model.state_dict()) - plain
    assert {name.split(".")[0] for name in added} == {"pcm"}
    assert set(drop_correlation(model).state_dict()) == plain
    assert set(drop_correlation(model).state_dict()) == plain  # twice is once


def test_statistics_are_kept_inside_and_move_again_outside() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    x = noise(4, 3, 5, 5, scale=9.0)
    by_batch = net(x)
    before = [buffer.clone() for buffer in net.buffers()]
    with statistics_kept(net):
        torch.testing.assert_close(net(2 * x), by_batch, atol=0.05, rtol=0.05)  # normalised by its own batch
    assert all(torch.equal(a, b) for a, b in zip(before, net.buffers(), strict=True))
    net(2 * x)
    assert not any(torch.equal(a, b) for a, b in zip(before, net.buffers(), strict=True))
    with torch.no_grad():
        judged = net.eval()(x)
        with statistics_kept(net):  # what is frozen goes on using its statistics
            assert torch.equal(net(x), judged)
