"""The linear-attention head against the textbook's quadratic form, and what keeps it exact and finite."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecam_training.heads import HEADS, HeadSize, LinearAttention, LinearHead, PlainHead, double

DIM, HEADS_IN = 64, 2  # two heads of 32 value and 16 key channels
HW = (5, 7)


def noise(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


def made(*, near: bool = True, gate: bool = True) -> LinearAttention:
    """A block with random weights; without `near`, no depthwise part; without `gate`, as at the start."""
    torch.manual_seed(0)
    block = LinearAttention(DIM, HEADS_IN)
    nn.init.normal_(block.merge.weight, std=DIM**-0.5)  # it starts at zero
    if gate:
        nn.init.normal_(block.gate.weight)
        nn.init.normal_(block.gate.bias)
    if not near:
        nn.init.zeros_(block.near.weight)
        nn.init.zeros_(block.near.bias)
    return block.eval().requires_grad_(False)


def by_head(x: Tensor) -> Tensor:
    """(n, d, h, w) -> (n, heads, N, d / heads)."""
    n, d, h, w = x.shape
    return x.reshape(n, HEADS_IN, d // HEADS_IN, h * w).transpose(2, 3)


def attention_rows(block: LinearAttention, x: Tensor) -> Tensor:
    """The matrix that the block never forms: (n, heads, N, N), row i holds the weights of token i."""
    q = by_head(block.query(x)).softmax(dim=3)
    k = by_head(block.key(x)).softmax(dim=2)
    return torch.einsum("nhic,nhjc->nhij", q, k)


def quadratic(block: LinearAttention, x: Tensor, *, gated: bool = True) -> Tensor:
    """The same block by way of the N x N matrix."""
    n, d, h, w = x.shape
    value = block.value(x)
    out = torch.einsum("nhij,nhjv->nhiv", attention_rows(block, x), by_head(value))
    if gated:
        out = out * (block.gate(x).flatten(2).softmax(dim=1) * HEADS_IN)[..., None]
    return block.merge(out.transpose(2, 3).reshape(n, d, h, w) + block.near(value))


@pytest.mark.parametrize("hw", [(1, 1), (5, 7), (14, 14)])
def test_the_block_equals_the_quadratic_form(hw: tuple[int, int]) -> None:
    block, x = made(), noise(3, DIM, *hw)
    torch.testing.assert_close(block(x), quadratic(block, x), atol=1e-5, rtol=0)


def test_at_the_start_the_gate_is_uniform_and_the_block_is_plain_linear_attention() -> None:
    block, x = made(gate=False), noise(2, DIM, *HW)
    torch.testing.assert_close(block(x), quadratic(block, x, gated=False), atol=1e-5, rtol=0)


def test_implied_attention_rows_are_weights_that_sum_to_one() -> None:
    rows = attention_rows(made(), noise(2, DIM, *HW, scale=5))
    assert float(rows.min()) >= 0
    torch.testing.assert_close(rows.sum(dim=3), torch.ones(rows.shape[:3]))


def test_a_value_that_all_tokens_share_passes_through_the_block_unchanged() -> None:
    """Rows that sum to one, seen from outside, in the block itself."""
    block = made(near=False, gate=False)
    nn.init.zeros_(block.value.weight)
    block.value.bias.copy_(noise(DIM, seed=4))
    nn.init.zeros_(block.merge.bias)
    block.merge.weight.copy_(torch.eye(DIM)[:, :, None, None])
    out = block(noise(2, DIM, *HW, scale=5))
    torch.testing.assert_close(out, block.value.bias.view(1, -1, 1, 1).expand_as(out))


def test_gates_share_out_one_whole_among_the_heads() -> None:
    """Whatever the gate says, heads that say the same add up to what one would have said, times heads."""
    block = made(near=False)
    nn.init.zeros_(block.value.weight)
    nn.init.ones_(block.value.bias)
    nn.init.zeros_(block.merge.bias)
    per_head = DIM // HEADS_IN
    over_heads = torch.eye(per_head).repeat(HEADS_IN, HEADS_IN) / HEADS_IN  # the mean over heads
    block.merge.weight.copy_(over_heads[:, :, None, None])
    x = noise(2, DIM, *HW, scale=3)
    gates = block.gate(x).softmax(dim=1)
    assert float(gates.amax()) > 0.9  # far from uniform
    torch.testing.assert_close(block(x), torch.ones(2, DIM, *HW))


def test_without_the_depthwise_part_tokens_may_change_places() -> None:
    block, x = made(near=False), noise(2, DIM, *HW)
    order = torch.randperm(HW[0] * HW[1], generator=torch.Generator().manual_seed(1))

    def shuffled(t: Tensor) -> Tensor:
        return t.flatten(2)[:, :, order].reshape(t.shape)

    torch.testing.assert_close(block(shuffled(x)), shuffled(block(x)), atol=1e-5, rtol=1e-5)


def test_with_the_depthwise_part_places_matter() -> None:
    block, x = made(), noise(1, DIM, *HW)
    assert not torch.allclose(block(x.flip(3)), block(x).flip(3), atol=1e-3)


@pytest.mark.parametrize("sigma", [1.0, 10.0])
def test_half_precision_stays_finite_and_close_to_float_at_ten_times_the_spread(sigma: float) -> None:
    block = made()
    x = noise(2, DIM, 14, 14, scale=sigma).half()
    expected = block(x.float())
    out = block.half()(x)
    assert out.dtype == torch.float16
    assert out.isfinite().all()
    # Logits of tens are rounded by up to 1/128, and the softmax makes that 1 % of a weight.
    assert float((out.float() - expected).abs().max()) < 0.03 * float(expected.abs().max())


def test_queries_and_keys_of_ten_times_the_spread_stay_finite_in_half_precision() -> None:
    block = made()
    for projection in (block.query, block.key, block.gate):
        nn.init.normal_(projection.weight, std=10 / DIM**0.5)
    x = noise(2, DIM, 14, 14)
    assert float(block.query(x).std()) > 8
    expected, out = block(x), block.half()(x.half())
    assert out.isfinite().all()
    assert float((out.float() - expected).abs().max()) < 0.05 * float(expected.abs().max())


@pytest.mark.parametrize("hw", [(1, 1), (1, 4), (2, 3), (5, 5), (7, 10)])
def test_doubling_is_bilinear_interpolation(hw: tuple[int, int]) -> None:
    x = noise(2, 3, *hw)
    expected = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(double(x), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", HEADS)
def test_a_head_gives_features_at_stride_16_and_every_weight_learns(name: str) -> None:
    torch.manual_seed(0)
    head = HEADS[name](HeadSize((24, 40), DIM))
    if isinstance(head, LinearHead):
        nn.init.normal_(head.attention.gate.weight)
        nn.init.normal_(head.attention.merge.weight, std=0.1)
    features = head(noise(4, 24, 6, 8), noise(4, 40, 3, 4))
    assert features.shape == (4, DIM, 6, 8)
    (features * noise(*features.shape, seed=2)).sum().backward()
    without = [n for n, p in head.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def learned(seed: int = 0) -> LinearHead:
    """A linear head whose attention says something; it starts by saying nothing."""
    torch.manual_seed(seed)
    head = LinearHead((24, 40), DIM).eval().requires_grad_(False)
    nn.init.normal_(head.attention.merge.weight)
    return head


def test_the_attention_lets_a_token_know_of_tokens_far_away_and_the_plain_head_does_not() -> None:
    f16, f32 = noise(1, 24, 16, 16), noise(1, 40, 8, 8)
    changed = f16.clone()
    changed[..., 15, 15] += 5
    plain = PlainHead((24, 40), DIM).eval().requires_grad_(False)
    reach = [
        float((head(changed, f32) - head(f16, f32))[..., 0, 0].abs().max()) for head in (plain, learned())
    ]
    assert reach[0] == 0
    assert reach[1] > 0


def test_attention_weighs_what_a_token_holds_by_0_to_2_and_adds_nothing_of_its_own() -> None:
    """Else the evidence for a class could stand where the thing is not, and maps would show it there."""
    head = learned()
    f16, f32 = noise(2, 24, 16, 16), noise(2, 40, 8, 8)
    f16[..., :8, :], f32[..., :5, :] = 0, 0  # the upper half of the photo holds nothing
    tokens, features = head.tokens(f16, f32), head(f16, f32)
    scale = head.out.eps + 1
    assert not features[..., :8, :].any()
    assert (features >= 0).all()
    assert (features <= 2 * tokens / scale**0.5 + 1e-5).all()
    assert float((features - tokens).abs().max()) > 0.5  # and it does weigh


def test_an_untrained_linear_head_is_the_plain_head() -> None:
    torch.manual_seed(0)
    head = LinearHead((24, 40), DIM).eval()
    f16, f32 = noise(1, 24, 6, 8), noise(1, 40, 3, 4)
    assert torch.equal(head(f16, f32), PlainHead.forward(head, f16, f32))
