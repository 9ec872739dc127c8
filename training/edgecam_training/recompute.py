"""Memory against time: what a stage computed inside is thrown away and computed again on the way back."""

from contextlib import AbstractContextManager, nullcontext

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from edgecam_training.seam import statistics_kept


def recomputed(stage: nn.Module, x: Tensor) -> Tensor:
    """stage(x), of which only x and the result are kept. Gradients are the same to the last bit.

    The second time the random draws are those of the first, and norms leave their running statistics
    alone: they have counted this batch already. Source: Chen et al., arXiv:1604.06174.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), statistics_kept(stage)

    return checkpoint(stage, x, use_reentrant=False, context_fn=contexts)  # type: ignore[no-any-return]
