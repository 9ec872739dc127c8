"""The three cores of linear attention: one matrix is implied by each, and half precision cannot break it."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from edgecam_training.heads import LinearAttention
from edgecam_training.heads.attend import EPS, Attend, by_elu, by_relu, efficient

CORES: dict[str, Attend] = {"efficient": efficient, "elu": by_elu, "relu": by_relu}
sizes = st.tuples(*(st.integers(1, most) for most in (3, 3, 9, 40)))  # n, heads, dk, N
seeds = st.integers(0, 2**31)
cores = pytest.mark.parametrize("attend", CORES.values(), ids=CORES)


def drawn(size: tuple[int, int, int, int], seed: int, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """q, k (n, heads, dk, N) and v (n, heads, dk + 1, N)."""
    n, heads, dk, tokens = size
    rng = torch.Generator().manual_seed(seed)
    q, k = torch.randn(2, n, heads, dk, tokens, generator=rng) * scale
    return q, k, torch.randn(n, heads, dk + 1, tokens, generator=rng)


def implied_rows(attend: Attend, q: Tensor, k: Tensor) -> Tensor:
    """(n, heads, N, N): what each token gets of values that are one for one token and zero for the others."""
    n, heads, _, tokens = q.shape
    return attend(q, k, torch.eye(tokens).expand(n, heads, tokens, tokens)).transpose(2, 3)


def similarity(attend: Attend, q: Tensor, k: Tensor) -> Tensor:
    """phi(q_i) . phi(k_j) written out, (n, heads, N, N), before any division."""
    phi: Callable[[Tensor], Tensor] = (lambda t: F.elu(t) + 1) if attend is by_elu else F.relu
    return torch.einsum("nhci,nhcj->nhij", phi(q), phi(k))


@cores
@given(size=sizes, seed=seeds, scale=st.sampled_from([0.1, 1.0, 5.0]))
@settings(max_examples=30, deadline=None)
def test_implied_rows_are_weights_that_sum_to_one(
    attend: Attend, size: tuple[int, int, int, int], seed: int, scale: float
) -> None:
    q, k, _ = drawn(size, seed, scale)
    rows = implied_rows(attend, q, k)
    assert float(rows.min()) >= 0
    if attend is efficient:
        expected = torch.ones(rows.shape[:3])
    else:  # but for what the guard against division by zero takes
        denominator = similarity(attend, q, k).mean(dim=3)
        expected = denominator / (denominator + EPS)
    torch.testing.assert_close(rows.sum(dim=3), expected, atol=1e-5, rtol=0)


@cores
@given(size=sizes, seed=seeds)
@settings(max_examples=30, deadline=None)
def test_a_core_equals_its_quadratic_form(attend: Attend, size: tuple[int, int, int, int], seed: int) -> None:
    q, k, v = drawn(size, seed)
    if attend is efficient:
        rows = torch.einsum("nhci,nhcj->nhij", q.softmax(dim=2), k.softmax(dim=3))
    else:
        weights = similarity(attend, q, k)
        rows = weights / (weights.sum(dim=3, keepdim=True) + EPS * q.shape[3])
    expected = torch.einsum("nhij,nhvj->nhvi", rows, v)
    torch.testing.assert_close(attend(q, k, v), expected, atol=1e-5, rtol=1e-5)


@cores
@given(size=sizes, seed=seeds)
@settings(max_examples=30, deadline=None)
def test_tokens_may_change_places(attend: Attend, size: tuple[int, int, int, int], seed: int) -> None:
    q, k, v = drawn(size, seed)
    order = torch.randperm(size[3], generator=torch.Generator().manual_seed(seed))
    moved = attend(q[..., order], k[..., order], v[..., order])
    torch.testing.assert_close(moved, attend(q, k, v)[..., order], atol=1e-5, rtol=1e-5)


def block(attend: Attend) -> LinearAttention:
    """Projections of ten times the usual spread, so that queries, keys and gates are large."""
    torch.manual_seed(0)
    made = LinearAttention(64, 2, attend).eval().requires_grad_(False)
    for projection in (made.query, made.key, made.gate):
        nn.init.normal_(projection.weight, std=10 / 64**0.5)
    nn.init.normal_(made.merge.weight, std=64**-0.5)
    return made


@cores
def test_half_precision_stays_finite_and_near_at_ten_times_the_spread(attend: Attend) -> None:
    made, x = block(attend), torch.randn(2, 64, 14, 14, generator=torch.Generator().manual_seed(1))
    assert float(made.query(x).std()) > 8
    expected, out = made(x), made.half()(x.half())
    assert out.dtype == torch.float16
    assert out.isfinite().all()
    assert float((out.float() - expected).abs().max()) < 0.05 * float(expected.abs().max())


@pytest.mark.parametrize("phi", [F.relu, lambda t: F.elu(t) + 1], ids=["relu", "elu"])
def test_sums_in_half_precision_would_have_overflowed_there(phi: Callable[[Tensor], Tensor]) -> None:
    made, x = block(by_relu), torch.randn(2, 64, 14, 14, generator=torch.Generator().manual_seed(1))
    q, k = (phi(made._split(conv(x))).half() for conv in (made.query, made.key))
    denominator = k.sum(dim=3, keepdim=True).transpose(2, 3) @ q
    assert denominator.isinf().any()


@pytest.mark.parametrize("attend", [by_elu, by_relu])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_a_token_that_answers_to_nothing_gets_nothing_and_no_nan(attend: Attend, kind: torch.dtype) -> None:
    q, k, v = (t.to(kind) for t in drawn((1, 2, 4, 6), 0))
    q = q.clone()
    q[..., 0] = -60000.0 if kind is torch.float16 else -1e6  # phi is 0
    out = attend(q, k, v)
    assert out.dtype == kind
    assert out.isfinite().all()
    assert not out[..., 0].any()
    assert out[..., 1].any()


@pytest.mark.parametrize("attend", [by_elu, by_relu])
def test_autocast_does_not_reach_the_division(attend: Attend) -> None:
    """On a GPU it would round the products that the denominator is made of."""
    q, k, v = (t.bfloat16() for t in drawn((2, 2, 16, 50), 0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = attend(q, k, v)
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, attend(q.float(), k.float(), v.float()).bfloat16())
