"""Several processes, one run: who is who, and the little that they tell one another.

`torchrun --nproc-per-node N -m edgecam train ...` starts N processes with the same arguments. Each makes
its part of every batch and works on it; the first one, the leader, writes, judges and talks.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from inspect import signature
from typing import Any, Final, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from edgecam_engines.console import log
from edgecam_engines.errors import TrainingError

T = TypeVar("T")

# The others wait while the leader checks photos and judges. A process that dies is noticed at once by the
# connection it closes, not by this.
PATIENCE: Final = timedelta(hours=12)


@dataclass(frozen=True)
class Team:
    """This process among those of the run. Every method but `leads` is called by all of them at once."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    first_here: bool = True  # on this machine

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            dist.barrier()

    @contextmanager
    def one_first(self) -> Iterator[None]:
        """The first process of each machine goes through, then the others."""
        if not self.first_here:
            self.wait()
        yield
        if self.first_here:
            self.wait()

    def told(self, value: T | None) -> T:
        """The leader's value, given to all; pickled on the way."""
        if self.size == 1:
            return value  # type: ignore[return-value]
        box = [value]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]  # type: ignore[return-value]

    def total(self, value: float) -> float:
        """The sum over all processes."""
        if self.size == 1:
            return value
        box = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.all_reduce(box)
        return box.item()

    @torch.no_grad()
    def average(self, tensors: list[Tensor]) -> None:
        """The mean over all processes, in place."""
        for tensor in tensors if self.size > 1 else []:
            dist.all_reduce(tensor)
            tensor.div_(self.size)

    def whole(self, part: Tensor, n: int) -> Tensor:
        """Each process's places rank, rank + size, ... of a batch -> all its n places in order, (n, ...)."""
        if self.size == 1:
            return part
        longest = -(-n // self.size)
        padded = part.new_zeros(longest, *part.shape[1:])
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return torch.stack(parts, dim=1).flatten(0, 1)[:n]

    def together(self, net: nn.Module) -> nn.Module:
        """The network, whose backward pass now averages gradients over all processes.

        Made anew whenever other parameters begin to learn: DistributedDataParallel looks only once.
        """
        if self.size == 1:
            return net
        # The norms' statistics are averaged by `average_statistics`, not overwritten with the leader's.
        names = signature(DistributedDataParallel).parameters
        switch = "forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers"
        asked: dict[str, Any] = {switch: False}
        return DistributedDataParallel(net, **asked)

    def sync_norms(self, net: nn.Module) -> None:
        """On GPUs batch normalisation then sees the whole batch; torch has no such layer for CPUs."""
        if self.size > 1 and self.device.type != "cpu":
            nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]  # in place, but for a net that is a norm itself

    @torch.no_grad()
    def average_statistics(self, net: nn.Module, share: float) -> None:
        """Running statistics of the norms that learn: the processes' mean, by their share of the batch.

        On CPUs each process normalises with its own part of the batch. The mean of the parts' means is the
        batch's mean; the mean of their variances leaves out how the parts differ from one another.
        """
        if self.size == 1 or self.device.type != "cpu":
            return
        norms = [m for m in net.modules() if isinstance(m, _BatchNorm) and m.training]
        kept = [t for m in norms for t in (m.running_mean, m.running_var) if t is not None]
        if not kept:
            return
        flat = torch.cat([t.flatten() for t in kept]) * share
        dist.all_reduce(flat)
        for tensor, mean in zip(kept, torch.split(flat, [t.numel() for t in kept]), strict=True):
            tensor.copy_(mean.view_as(tensor))


ALONE: Final = Team()


def without_sync(net: nn.Module, skip: bool) -> AbstractContextManager[None]:
    """A backward pass inside keeps its gradients to this process: more of the same batch is to come."""
    return net.no_sync() if skip and isinstance(net, DistributedDataParallel) else nullcontext()


@contextmanager
def joined() -> Iterator[Team]:
    """Join the processes that torchrun started; without torchrun a team of one.

    Raises TrainingError in the leader when another process is lost; the others end in silence (exit
    code 1), since whoever failed first has said why.
    """
    cuda = torch.cuda.is_available()
    if not started_by_torchrun():
        yield Team(device=torch.device("cuda" if cuda else "cpu"))
        return
    rank, here = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    device = torch.device("cuda", here) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    log.quiet = rank > 0
    try:
        yield Team(rank, int(os.environ["WORLD_SIZE"]), device, first_here=here == 0)
        dist.destroy_process_group()
    except RuntimeError as error:
        if not _peer_lost(error):
            raise
        if rank > 0:
            raise SystemExit(1) from None
        raise TrainingError(
            "Another process of this run ended before its work was done; so the run ends.\n"
            "What it had to say stands above. Once that is mended, go on by adding --resume."
        ) from error
    finally:
        log.quiet = False


def started_by_torchrun() -> bool:
    """Whether this process is one of several."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_leader() -> bool:
    """Whether this process speaks for the run, before and after it is `joined` too."""
    return os.environ.get("RANK", "0") == "0"


def _peer_lost(error: RuntimeError) -> bool:
    """gloo and NCCL tell in words alone that the other end is gone."""
    words = str(error)
    return isinstance(error, dist.DistError) or any(w in words for w in ("by peer", "gloo/", "Broken pipe"))
