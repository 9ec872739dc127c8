"""Memory against time: what a stage computed inside is thrown away and computed again on the way back."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recomputed(stage: nn.Module, x: Tensor) -> Tensor:
    """stage(x), of which only x and the result are kept. Gradients are the same to the last bit.

    The second time the random draws are those of the first. Source: Chen et al., arXiv:1604.06174.
    """
    norms = [norm for norm in stage.modules() if isinstance(norm, _BatchNorm)]
    again = partial(_again, norms, [norm.track_running_stats for norm in norms])

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), again()

    return checkpoint(stage, x, use_reentrant=False, context_fn=contexts)  # type: ignore[no-any-return]


@contextmanager
def _again(norms: list[_BatchNorm], tracked: list[bool]) -> Iterator[None]:
    """Norms as they were the first time, but a batch that they have counted leaves no second mark.

    They are not told to leave their statistics out: autograd would then find other tensors than before.
    """
    before = [(norm.track_running_stats, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, tracks in zip(norms, tracked, strict=True):
        norm.track_running_stats, norm.momentum = tracks, 0.0
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (tracks, momentum, count) in zip(norms, before, strict=True):
            norm.track_running_stats, norm.momentum, norm.num_batches_tracked = tracks, momentum, count
