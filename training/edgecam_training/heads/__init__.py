"""Feature heads: two feature maps in, one map of tokens at stride 16 out, ready for a linear class head.

Everything here is per token or linear in the number of tokens, and nothing non-linear follows the last
normalisation, so that mean(CAM) + b == logits stays exact.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from edgecam_training.heads.attend import by_elu, by_relu
from edgecam_training.heads.linear import LinearAttention, LinearHead
from edgecam_training.heads.moe import MoEHead, load_balance, routings
from edgecam_training.heads.plain import PlainHead, double

__all__ = [
    "HEADS",
    "HeadSize",
    "LinearAttention",
    "LinearHead",
    "MoEHead",
    "PlainHead",
    "double",
    "load_balance",
    "routings",
]


class HeadSize(NamedTuple):
    """What a head is made to fit."""

    channels: tuple[int, int]  # of the features at stride 16 and 32
    dim: int  # channels of the tokens
    experts: int = 4
    kept: int = 2  # experts a token


HEADS: Final[dict[str, Callable[[HeadSize], PlainHead]]] = {
    "linear": lambda size: LinearHead(size.channels, size.dim),
    "plain": lambda size: PlainHead(size.channels, size.dim),
    "moe": lambda size: MoEHead(size.channels, size.dim, size.experts, size.kept),
    # For comparison only: attention that divides, and so needs float32 inside.
    "linear-elu": lambda size: LinearHead(size.channels, size.dim, by_elu),
    "linear-relu": lambda size: LinearHead(size.channels, size.dim, by_relu),
}
