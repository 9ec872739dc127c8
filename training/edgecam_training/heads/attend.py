"""Three ways to attend in linear time: (queries, keys, values) by head in, one answer a token out.

All take q, k (n, heads, dk, N) and v (n, heads, dv, N) and give (n, heads, dv, N). None forms the N x N
matrix whose row i would hold token i's weights; each implies one with non-negative rows that sum to one.
`efficient` is the one to use. The other two are there to be compared with: their division makes them
fragile, so all that leads to it is computed in float32, here and in every ONNX file
(edgecam_calibration.islands).
"""

from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
EPS: Final = 1e-4  # representable in FP16, unlike the 1e-15 of some public code, which becomes 0 / 0 there


def efficient(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax_dk(q)^T (softmax_N(k) v): rows sum to one without a division, so FP16 cannot overflow.

    Source: Efficient Attention, arXiv:1812.01243.
    """
    context = v @ k.softmax(dim=3).transpose(2, 3)  # (n, heads, dv, dk)
    return context @ q.softmax(dim=2)


def by_elu(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Weights phi(q_i) . phi(k_j) with phi = elu + 1 > 0. Source: arXiv:2006.16236, with sums for means."""
    return _divided(F.elu(q.float()) + 1, F.elu(k.float()) + 1, v)


def by_relu(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same with phi = relu, as in EfficientViT, arXiv:2205.14756. A token whose phi is 0 gets 0."""
    return _divided(F.relu(q.float()), F.relu(k.float()), v)


def _divided(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """phi(q)^T mean_j(phi(k_j) v_j) / (phi(q)^T mean_j phi(k_j) + EPS), from float32 phi.

    Means over the tokens, not sums: a sum grows with N, and passes FP16's 65504 at 196 tokens once q and k
    spread by 8. EPS takes its share from a row's sum: it is d / (d + EPS) for the denominator d.
    """
    with torch.autocast(v.device.type, enabled=False):
        k = k * (1 / k.shape[3])
        context = v.float() @ k.transpose(2, 3)  # (n, heads, dv, dk)
        total = k.sum(dim=3, keepdim=True).transpose(2, 3)  # (n, heads, 1, dk)
        return (context @ q / (total @ q + EPS)).to(v.dtype)
