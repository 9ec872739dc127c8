"""The mixture of experts: sparse, blind to how experts are numbered, balanced, and exact in its maps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from edgecam_training.batches import Batch
from edgecam_training.heads import HEADS, HeadSize, MoEHead, load_balance, routings
from edgecam_training.heads.moe import Router, Routing, imbalance
from edgecam_training.model import Model
from edgecam_training.optimizer import make_optimizer
from edgecam_training.options import Options
from edgecam_training.step import one_step

DIM = 64
counts = st.integers(2, 6).flatmap(lambda e: st.tuples(st.just(e), st.integers(1, e)))  # experts, kept
seeds = st.integers(0, 2**31)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def made(experts: int = 4, kept: int = 2, seed: int = 0) -> MoEHead:
    """A head whose experts and router differ from one another as after a training."""
    torch.manual_seed(seed)
    head = MoEHead((24, 40), DIM, experts, kept).requires_grad_(False)
    nn.init.normal_(head.experts.weight, std=DIM**-0.5)
    nn.init.normal_(head.router.score.weight, std=0.3)
    nn.init.uniform_(head.out.weight, 0.5, 1.5)
    nn.init.normal_(head.out.bias)
    return head.eval()


def expert(head: MoEHead, number: int) -> Tensor:
    """A_e, (d, d)."""
    return head.experts.weight[:, number * DIM : (number + 1) * DIM, 0, 0]


def one_by_one(head: MoEHead, x: Tensor, gates: Tensor) -> Tensor:
    """sum_e G_e (A_e x), each expert by itself."""
    answers = [torch.einsum("dc,nchw->ndhw", expert(head, e), x) for e in range(gates.shape[1])]
    return sum((gates[:, e, None] * answer for e, answer in enumerate(answers)), torch.zeros(()))


# -- gates


@given(count=counts, seed=seeds)
@settings(max_examples=25, deadline=None)
def test_gates_are_those_of_the_softmax_cut_off_and_renormalised(count: tuple[int, int], seed: int) -> None:
    experts, kept = count
    head, x = made(experts, kept), noise(2, DIM, 3, 5, seed=seed)
    routing = head.router(x)
    best = routing.logits.softmax(dim=1).topk(kept, dim=1)
    expected = torch.zeros(2, experts, 3, 5).scatter(1, best.indices, best.values)
    torch.testing.assert_close(routing.gates, expected / expected.sum(dim=1, keepdim=True))
    torch.testing.assert_close(routing.gates.sum(dim=1), torch.ones(2, 3, 5))
    assert int((routing.gates > 0).sum(dim=1).max()) <= kept


def test_experts_that_tie_for_the_last_place_are_all_kept() -> None:
    """Choosing among equals would make the answer depend on how experts are numbered."""
    router = Router(4, experts=4, kept=2).eval()
    nn.init.zeros_(router.score.weight)
    router.score.bias.data = torch.tensor([3.0, 1.0, 1.0, 0.0])
    gates = router(noise(1, 4, 1, 1)).gates.flatten().tolist()
    assert gates[1] == gates[2] > 0
    assert gates[3] == 0
    assert sum(gates) == pytest.approx(1)


def test_noise_gives_other_experts_a_turn_in_training_only() -> None:
    head, x = made(), noise(2, DIM, 6, 6) * 0.1
    assert torch.equal(head.router(x).gates, head.router(x).gates)
    head.train()
    first, second = head.router(x), head.router(x)
    assert not torch.equal(first.gates > 0, second.gates > 0)
    assert torch.equal(first.logits, second.logits)


# -- experts


@given(count=counts, seed=seeds)
@settings(max_examples=25, deadline=None)
def test_the_one_convolution_is_the_sum_of_the_experts(count: tuple[int, int], seed: int) -> None:
    head, x = made(*count), noise(2, DIM, 3, 5, seed=seed)
    gates = head.router(x).gates
    torch.testing.assert_close(head.mix(x, gates), one_by_one(head, x, gates), atol=1e-4, rtol=1e-4)


def test_keeping_all_experts_is_the_dense_mixture() -> None:
    head, x = made(kept=4), noise(2, DIM, 3, 5)
    dense = one_by_one(head, x, head.router.score(x).softmax(dim=1))
    torch.testing.assert_close(head.mix(x, head.router(x).gates), dense, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("training", [False, True])
@given(count=counts, seed=seeds)
@settings(max_examples=15, deadline=None)
def test_identical_experts_are_one_expert(training: bool, count: tuple[int, int], seed: int) -> None:
    head, x = made(*count), noise(2, DIM, 3, 5, seed=seed)
    one = expert(head, 0).clone()
    head.experts.weight.copy_(one.repeat(1, count[0])[:, :, None, None])
    mixed = head.mix(x, head.train(training).router(x).gates)
    torch.testing.assert_close(mixed, torch.einsum("dc,nchw->ndhw", one, x), atol=1e-4, rtol=1e-4)


@given(count=counts, seed=seeds)
@settings(max_examples=25, deadline=None)
def test_numbering_the_experts_otherwise_changes_nothing(count: tuple[int, int], seed: int) -> None:
    head, other = made(*count), made(*count)
    order = torch.randperm(count[0], generator=torch.Generator().manual_seed(seed))
    other.router.score.weight.copy_(head.router.score.weight[order])
    other.router.score.bias.copy_(head.router.score.bias[order])
    blocks = torch.cat([expert(head, int(e)) for e in order], dim=1)
    other.experts.weight.copy_(blocks[:, :, None, None])
    f16, f32 = noise(2, 24, 6, 8, seed=seed), noise(2, 40, 3, 4, seed=seed)
    torch.testing.assert_close(other(f16, f32), head(f16, f32), atol=1e-4, rtol=1e-4)


# -- maps


def test_a_map_is_the_mixed_class_weights_applied_to_the_token() -> None:
    """W_eff = sum_e G_e W A_e: a mixture of classifiers, whose shared factor W is the class head."""
    head = made()
    weight = noise(3, DIM, seed=5)  # of three classes
    f16, f32 = noise(2, 24, 6, 8), noise(2, 40, 3, 4)
    x = head.tokens(f16, f32)
    scale = head.out.weight / (head.out.running_var + head.out.eps) ** 0.5
    shift = head.out.bias - head.out.running_mean * scale
    experts = torch.stack([expert(head, e) for e in range(4)])
    effective = torch.einsum("nehw,kd,d,edc->nkchw", head.router(x).gates, weight, scale, experts)
    expected = torch.einsum("nkchw,nchw->nkhw", effective, x) + (weight @ shift)[:, None, None]
    maps = torch.einsum("kd,ndhw->nkhw", weight, head(f16, f32))
    torch.testing.assert_close(maps, expected, atol=1e-3, rtol=1e-3)


def test_a_token_that_holds_nothing_is_given_nothing() -> None:
    """Else a map could show evidence where the thing is not."""
    head = made()
    f16, f32 = noise(2, 24, 16, 16), noise(2, 40, 8, 8)
    f16[..., :8, :], f32[..., :5, :] = 0, 0  # the upper half of the photo holds nothing
    x = head.tokens(f16, f32)
    mixed = head.mix(x, head.router(x).gates)
    assert not mixed[..., :8, :].any()
    assert mixed[..., 8:, :].any()


# -- balance


def test_imbalance_worked_out_by_hand() -> None:
    def shares(*sums: float) -> Tensor:
        return torch.tensor(sums).view(1, -1, 1, 1).expand(2, -1, 3, 5) / 30

    assert imbalance(shares(2, 2, 2)).item() == pytest.approx(0, abs=1e-12)
    assert imbalance(shares(1, 3)).item() == pytest.approx(0.25)
    assert imbalance(shares(1, 0, 0, 0)).item() == pytest.approx(3)


def test_balanced_gates_cost_nothing_though_no_token_is_balanced() -> None:
    """Each token wants one expert only, each expert is wanted by as many tokens."""
    logits = 20 * torch.eye(4).view(1, 4, 2, 2)
    threshold = logits.topk(2, dim=1).values[:, -1:]
    assert imbalance(logits.softmax(dim=1)).item() == pytest.approx(0, abs=1e-10)
    assert load_balance(Routing(logits, logits, threshold)).item() == pytest.approx(0, abs=1e-10)


def test_one_expert_for_everything_costs_most() -> None:
    logits = torch.tensor([30.0, 0.0, 0.0, 0.0]).view(1, 4, 1, 1).expand(2, 4, 3, 3)
    threshold = logits.topk(1, dim=1).values[:, -1:]
    # The chances: 1/2 for the one that stands at the threshold itself, 0 for the others; CV^2 is 3 for both.
    assert load_balance(Routing(logits, logits, threshold)).item() == pytest.approx(3, rel=1e-5)


def test_following_the_loss_brings_a_biased_router_into_balance() -> None:
    torch.manual_seed(0)
    router, x = Router(DIM, experts=4, kept=2).train(), noise(4, DIM, 6, 6)
    router.score.bias.data += torch.tensor([2.0, 1.0, 0.0, -2.0])
    optimizer = torch.optim.SGD(router.parameters(), lr=0.5)
    before = load_balance(router(x)).item()
    for _ in range(60):
        optimizer.zero_grad()
        load_balance(router(x)).backward()
        optimizer.step()
    assert before > 0.3
    assert load_balance(router(x)).item() < 0.05


def test_routings_hold_what_was_decided_inside_and_no_longer() -> None:
    head, f16, f32 = made(), noise(2, 24, 6, 8), noise(2, 40, 3, 4)
    with routings(head) as found:
        head(f16, f32)
        head(f16[:1], f32[:1])
    head(f16, f32)
    assert [len(routing.gates) for routing in found] == [2, 1]


@pytest.mark.parametrize("name", [name for name in HEADS if name != "moe"])
def test_other_heads_decide_nothing(name: str) -> None:
    head = HEADS[name](HeadSize((24, 40), DIM)).eval()
    with routings(head) as found:
        head(noise(2, 24, 6, 8), noise(2, 40, 3, 4))
    assert found == []


def test_the_loss_of_a_step_holds_the_balance_with_its_weight() -> None:
    def loss(head: str, balance: float) -> float:
        options = Options(
            input_height=64, input_width=64, backbone="mobilenet_v3_small", head=head, pretrained=False,
            dim=DIM, batch=8, er=0, ecr=0, mix="none", expert_balance=balance,
        )  # fmt: skip
        torch.manual_seed(0)
        model = Model(
            3, backbone=options.backbone, head=head, dim=DIM, dropout=0.0, pretrained=False, experts=(4, 2)
        )
        rng = torch.Generator().manual_seed(3)
        frames = torch.randint(0, 256, (8, 64, 64, 3), dtype=torch.uint8, generator=rng)
        batch = Batch(frames, torch.arange(8) % 3)
        return one_step(model, make_optimizer(model, options), batch, options, epoch=0, step=0)

    none, half, whole = loss("moe", 0.0), loss("moe", 0.5), loss("moe", 1.0)
    assert half > none
    assert whole - none == pytest.approx(2 * (half - none), rel=1e-3)
    assert loss("plain", 1.0) == loss("plain", 0.0)
